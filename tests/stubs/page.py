"""What docs/howto/generate-stubs.md tells its reader to run."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/howto/generate-stubs.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:3000"
"""The address in the programs on the page."""
BEGIN = "Generate stubs for other languages"


@dataclass(frozen=True)
class Command:
    """A command, and what it prints, as the page shows both."""

    text: str
    output: str


def commands(section: str) -> list[Command]:
    """The commands of a section, in their order. `section` is its heading."""
    consoles = re.findall(r"^```console\n(.*?)^```$", _section(section), re.MULTILINE | re.DOTALL)
    parts = [part for console in consoles for part in re.split(r"^\$ ", console, flags=re.MULTILINE)]
    return [_command(part) for part in parts if part]


def program(section: str, language: str) -> str:
    """The file in a section, which has one block of the language."""
    [text] = re.findall(rf"^```{language}\n(.*?)^```$", _section(section), re.MULTILINE | re.DOTALL)
    return str(text)


def _section(heading: str) -> str:
    _, text = re.split(rf"^#+ {heading}$", PAGE, maxsplit=1, flags=re.MULTILINE)
    return re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]


def _command(part: str) -> Command:
    """The command ends at the first line end that no backslash escapes."""
    text, output = re.split(r"(?<!\\)\n", part, maxsplit=1)
    return Command(text, output)
