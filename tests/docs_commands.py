"""The commands of the docs: those in blocks, and those in backticks within a sentence."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
)
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
IN_BACKTICKS = re.compile(r"`([^`]+)`")
BEGINS = {"sh": "", "console": "$ ", "": "$ ", "dockerfile": "RUN "}
"""How a line begins that is a command, by the language of its block."""
BACKSLASH = "\\"
KEYWORDS = {"do", "then", "else", "exec", "done", "!"}
VARIABLE = re.compile(r"([A-Z][A-Z0-9_]*)=.*", re.DOTALL)


class Command(NamedTuple):
    """`variables`: the names of those that are set for it. `program`: without its folder."""

    page: str
    variables: tuple[str, ...]
    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join((self.program, *self.arguments))}"


def commands_of(programs: frozenset[str]) -> list[Command]:
    """The commands of all pages that call one of the programs."""
    found = (
        command
        for page in PAGES
        for text in texts_in(page.read_text(encoding="utf-8"), programs)
        for command in parse(text, str(page.relative_to(ROOT)))
    )
    return [each for each in found if each.program in programs]


def texts_in(markdown: str, programs: frozenset[str]) -> Iterator[str]:
    """The text of each command that could call one of the programs."""
    word = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(programs)))})(?![\w.=-])")
    for language, block in BLOCK.findall(markdown):
        if language in BEGINS:
            yield from filter(word.search, _lines(block, BEGINS[language]))
    for text in IN_BACKTICKS.findall(BLOCK.sub("", markdown)):
        begin = re.compile(rf"([A-Z][A-Z0-9_]*=\S+\s+)*([\w./-]+/)?{word.pattern}")
        if begin.match(text):
            yield " ".join(text.split())


def _lines(block: str, begin: str) -> Iterator[str]:
    """A command goes on in the next line if a quote is open, or after a backslash."""
    lines = iter(block.splitlines())
    for line in lines:
        if not line.startswith(begin):
            continue
        text = line.removeprefix(begin)
        while not _is_whole(text):
            more = next(lines, None)
            if more is None:
                raise ValueError(f"this command has no end: {text}")
            text = f"{text.removesuffix(BACKSLASH)}\n{more}"
        yield text


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:  # an open quote
        return False
    return not text.endswith(BACKSLASH)


def parse(text: str, page: str) -> Iterator[Command]:
    """Each simple command of a line of a shell."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, ";"]:
        if not set(token) <= set("();&|<>"):
            words.append(token)
            continue
        variables: list[str] = []
        while words and (words[0] in KEYWORDS or VARIABLE.fullmatch(words[0])):
            if name := VARIABLE.fullmatch(words.pop(0)):
                variables.append(name[1])
        if words:
            yield Command(page, tuple(variables), Path(words[0]).name, tuple(words[1:]))
        words = []
