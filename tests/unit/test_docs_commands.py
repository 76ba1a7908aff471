"""The commands of the docs that no test runs name only what exists: make, docker, jobctl, python, pip, kill.

Other tests run those with curl and grpcurl, the pages' programs, and the commands of the page of jobctl.
"""

import re
import signal
import tomllib
from collections import Counter
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer import Exit
from typer.main import get_command

from api_server import tokens_command
from job_client.cli.app import app
from tests.docs_commands import ROOT, Command, commands_of, parse, texts_in

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
COMPOSE_FILE = (ROOT / "docker-compose.yml").read_text()
SERVICES = set(yaml.safe_load(COMPOSE_FILE)["services"])
BUILD_ARGUMENTS = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
SETTINGS = {
    name
    for page in (ROOT / "docs/reference").glob("*.md")
    for name in re.findall(r"^\| `([A-Z_]+)` \|", page.read_text(), re.MULTILINE)
} | {"PYTHONPATH"}
"""The variables that the reference describes, and Python's own."""
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
PLACEHOLDER = re.compile(r"\$\w+|…")

Options = tuple[set[str], set[str]]
"""The options without a value, and those with one."""
COMPOSE: dict[str, Options] = {
    "up": ({"-d", "--build", "--wait", "--no-deps", "--no-recreate"}, {"--scale"}),
    "down": ({"--volumes"}, set()),
    "build": (set(), {"--build-arg"}),
    "ps": ({"--quiet"}, set()),
    "exec": (set(), set()),
}
"""The commands of `docker compose` that the docs use, with their options, as in Docker's reference."""
VALUES = {"--scale": SERVICES, "--build-arg": BUILD_ARGUMENTS}
DOCKER: dict[str, Options] = {"stop": (set(), {"--time"}), "rm": (set(), set())}
PIP: Options = ({"--quiet", "--no-cache-dir", "--disable-pip-version-check"}, set())
PACKAGES = {"pillow", "pytest"}
"""Those that the docs install besides this project."""


def split(arguments: Iterable[str], known: Options) -> tuple[list[str], list[tuple[str, str]]]:
    """What is no option, and the options with a value. Raises LookupError for an option that is not known."""
    flags, valued = known
    others: list[str] = []
    values: list[tuple[str, str]] = []
    words = iter(arguments)
    for word in words:
        name, sign, value = word.partition("=")
        if name in valued:
            values.append((name, value if sign else next(words, "")))
        elif word.startswith("-") and word not in flags:
            raise LookupError(f"the option {word}")
        elif word not in flags:
            others.append(word)
    return others, values


def require(kind: str, names: Iterable[str], known: Container[str]) -> None:
    """Raises LookupError for a name that is not known."""
    for name in names:
        if name and name not in known and not PLACEHOLDER.fullmatch(name):
            raise LookupError(f"{kind} {name}")


def require_variables(names: Iterable[str], file: str = "") -> None:
    """Each must be a setting, or the file must read it. Raises LookupError."""
    for name in names:
        if name not in SETTINGS and not re.search(rf"\$[({{]{name}\b", file):
            raise LookupError(f"the variable {name}")


# --- One check for each program. It raises LookupError, which says what does not exist. ---


def check_make(command: Command) -> None:
    require("the target", [word for word in command.arguments if "=" not in word], TARGETS)
    require_variables([word.partition("=")[0] for word in command.arguments if "=" in word], MAKEFILE)
    require_variables(command.variables, MAKEFILE)


def check_docker(command: Command) -> None:
    name, *words = command.arguments
    if name == "compose":
        check_compose(words, command.variables)
        return
    require_variables(command.variables)
    require("the command", [name], DOCKER)
    split(words, DOCKER[name])


def check_compose(words: list[str], variables: Iterable[str]) -> None:
    files = COMPOSE_FILE
    while words[:1] == ["-f"]:
        if not (ROOT / words[1]).is_file():
            raise LookupError(f"the file {words[1]}")
        files += (ROOT / words[1]).read_text()
        words = words[2:]
    require_variables(variables, files)
    if not words:
        return
    name, *words = words
    require("the command", [name], COMPOSE)
    # What follows the service is a command of the container.
    services, values = split(words[:1] if name == "exec" else words, COMPOSE[name])
    require("the service", services, SERVICES)
    for option, value in values:
        require(f"{option} of", [value.partition("=")[0]], VALUES[option])


def check_jobctl(command: Command) -> None:
    group: Any = get_command(app)
    name, *arguments = command.arguments or ("--help",)
    if name.startswith("-"):
        options = [option for parameter in group.params for option in parameter.opts]
        require("the option", [name], [*options, "--help"])
        return
    require("the command", [name], group.commands)
    # A sentence may name a command without its arguments.
    if arguments:
        try:
            group.commands[name].make_context(name, arguments)
        except Exit:
            pass
        except Exception as error:  # noqa: BLE001 - the classes of typer's errors are not public
            raise LookupError(f"{type(error).__name__}: {error}") from None


def check_python(command: Command) -> None:
    require_variables(command.variables)
    option, *words = command.arguments
    if option == "-c":
        compile(words[0], str(command), "exec")
    elif "/" in option:
        require("the file", [option], [option] if (ROOT / option).is_file() else [])
    elif option == "-m":
        check_module(*words)


def check_module(module: str, *arguments: str) -> None:
    source = source_of(module)
    if module == "api_server" and arguments:
        check_tokens(*arguments)
    elif source.is_relative_to(ROOT) and ".venv" not in source.parts:
        words = [word for word in arguments if re.fullmatch(r"-{0,2}[a-z-]+", word)]
        require("the argument", words, re.findall(r"[\w-]+", source.read_text()))


def check_tokens(*arguments: str) -> None:
    name, *words = arguments
    require("the argument", [name], [tokens_command.NAME])
    # A sentence may name the command without its arguments.
    if words:
        try:
            tokens_command.parser().parse_args(words)
        except SystemExit:
            raise LookupError(f"the arguments {' '.join(words)}") from None


def source_of(module: str) -> Path:
    """The file that `python -m` runs. Raises LookupError."""
    with suppress(ModuleNotFoundError):
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            spec = find_spec(f"{module}.__main__")
        if spec is not None and spec.origin is not None:
            return Path(spec.origin)
    raise LookupError(f"the module {module}")


def check_pip(command: Command) -> None:
    name, *words = command.arguments
    require("the command", [name], ["install"])
    for package in split(words, PIP)[0]:
        if here := re.fullmatch(r"\.(?:\[([\w,]+)\])?", package):
            require("the extra", (here[1] or "").split(","), EXTRAS)
        else:
            require("the package", [package], PACKAGES)


def check_kill(command: Command) -> None:
    name, *_pids = command.arguments
    require("the signal", [f"SIG{name.removeprefix('-')}"], [each.name for each in signal.Signals])


CHECKS: dict[str, Callable[[Command], None]] = {
    "make": check_make,
    "docker": check_docker,
    "jobctl": check_jobctl,
    "python": check_python,
    "python3": check_python,
    "pip": check_pip,
    "kill": check_kill,
}
COMMANDS = list(dict.fromkeys(commands_of(frozenset(CHECKS))))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_all_that_a_command_names_exists(command: Command) -> None:
    CHECKS[command.program](command)


def test_commands_of_each_kind_are_found() -> None:
    counts = Counter(each.program for each in COMMANDS)
    assert counts.keys() == CHECKS.keys()
    assert counts.total() > 100


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("make launch", "the target launch"),
        ("make logs PARTS=worker", "the variable PARTS"),
        ("STACK_WORKER_COUNT=2 make run", "the variable STACK_WORKER_COUNT"),
        ("docker compose start", "the command start"),
        ("docker compose up -d --scale worker=3", "--scale of worker"),
        ("docker compose up --detached", "the option --detached"),
        ("docker compose exec zookeeper ls", "the service zookeeper"),
        ("docker compose -f compose.yml up", "the file compose.yml"),
        ("docker compose build --build-arg PYTHON=x", "--build-arg of PYTHON"),
        ("JOBS_PORT=3001 docker compose up", "the variable JOBS_PORT"),
        ("docker stop --after 30 $each && docker rm $each", "the option --after"),
        ("ID=$(jobctl submit compute --lable a=b)", "No such option: --lable"),
        ("for n in 1 2; do jobctl resubmit $n; done", "the command resubmit"),
        ("jobctl list --limit 0", "BadParameter"),
        ("jobctl --versions", "the option --versions"),
        (".venv/bin/python -m worker_services", "the module worker_services"),
        ("python -m gateway", "the module gateway"),
        ("python -m local_stack restart", "the argument restart"),
        ("python -m api_server token", "the argument token"),
        ("python -m api_server tokens new --role admin", "the arguments new --role admin"),
        ("python proto/generator.py image", "the file proto/generator.py"),
        ("WORKER_SECRET=x python -m worker_service", "the variable WORKER_SECRET"),
        ("pip install '.[cli,tools]'", "the extra tools"),
        ("pip install --silent .", "the option --silent"),
        ("pip install no-such-package", "the package no-such-package"),
        ("kill -TERMINATE PID", "the signal SIGTERMINATE"),
    ],
)
def test_what_does_not_exist_is_named(text: str, missing: str) -> None:
    with pytest.raises(LookupError, match=re.escape(missing)):
        check(text)


def check(text: str) -> None:
    for command in parse(text, "page"):
        if command.program in CHECKS:
            CHECKS[command.program](command)


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    page = """
Run `A=1 make
b` or `make`, not `a make`.

```console
$ make c  # it's quick
make d
$ echo 'make
e' | make f && \\
    make g
```

```python
make h
```

```dockerfile
RUN make i
```
"""
    texts = texts_in(page, frozenset({"make"}))
    found = [each for text in texts for each in parse(text, "page") if each.program == "make"]
    assert [(each.variables, *each.arguments) for each in found] == [
        ((), "c"),
        ((), "f"),
        ((), "g"),
        ((), "i"),
        (("A",), "b"),
        ((),),
    ]
