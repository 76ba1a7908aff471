"""Where a command writes: tables and lines for people, or JSON for programs.

Everything that reaches the terminal goes through this module, which makes it harmless (safe_text.py). Results
go to standard output; notes, questions, progress and errors to standard error. At a terminal tables have
headers and colours and fit the width. Elsewhere they are lines with tabs between the values, without headers,
in full, as of GitHub's command.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

from contract_runtime.safe_text import safe_block, safe_json, safe_line
from job_client.cli.json_form import plain
from job_client.cli.progress_bar import NoBar, ProgressBar, TerminalBar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

T = TypeVar("T")


class Format(StrEnum):
    """`table` is for people."""

    table = "table"
    json = "json"
    ndjson = "ndjson"


class Styled(NamedTuple):
    """Text with a style of rich, such as `red`. `in_pipe`: what stands in its place elsewhere, if not ""."""

    text: str
    style: str
    in_pipe: str = ""


Cell = str | Styled
MIN_LAST_WIDTH = 10
GREEN, RED, YELLOW, DIM, BOLD = "green", "red", "yellow", "dim", "bold"


class Output:
    """The output of one command."""

    def __init__(self, form: Format, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.form = form
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._bar: TerminalBar | None = None

    @property
    def is_for_people(self) -> bool:
        return self.form is Format.table

    @property
    def is_terminal(self) -> bool:
        """Whether results for people go to a terminal."""
        return self.is_for_people and self._stdout.isatty()

    # --- Results ---

    def value(self, value: Any) -> None:
        """One value as JSON, in any format. `ndjson` is on one line."""
        indent = None if self.form is Format.ndjson else 2
        self._stdout.write(safe_json(plain(value), indent=indent) + "\n")
        self._stdout.flush()

    def values(
        self, header: Sequence[str], values: Iterable[T], row_of: Callable[[T], Sequence[Cell]]
    ) -> int:
        """Several values: a table, a JSON array, or a line of JSON each. Returns their number."""
        if self.form is Format.ndjson:
            count = 0
            for value in values:
                self.value(value)
                count += 1
            return count
        found = list(values)
        if self.is_for_people:
            self.table(header, map(row_of, found))
        else:
            self.value(found)
        return len(found)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """At a terminal that is too narrow, the last column is cut first."""
        if not self.is_terminal:
            for row in rows:
                self._stdout.write("\t".join(map(_plain_line, row)) + "\n")
            self._stdout.flush()
            return
        from rich.table import Table  # noqa: PLC0415 - only terminals need it

        lines = [[_rich_line(cell) for cell in row] for row in rows]
        table = Table(
            box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=DIM, show_header=bool(header)
        )
        names = header or [""] * max(map(len, lines), default=0)
        for name, width in zip(names, self._widths(names, lines), strict=True):
            table.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
        for line in lines:
            table.add_row(*line)
        self._console.print(table)

    def _widths(self, names: Sequence[str], lines: "Sequence[Sequence[Text]]") -> list[int]:
        """The last column gets what the others leave."""
        widths = [
            max([len(name), *(line[number].cell_len for line in lines)]) for number, name in enumerate(names)
        ]
        left = self._console.width - sum(width + 2 for width in widths[:-1])
        return [*widths[:-1], min(widths[-1], max(left, MIN_LAST_WIDTH))] if widths else []

    def line(self, *cells: Cell) -> None:
        """One line of text for people."""
        if not self.is_terminal:
            self._stdout.write("".join(map(_plain_line, cells)) + "\n")
            self._stdout.flush()
            return
        self._console.print(*map(_rich_line, cells), sep="", soft_wrap=True)

    # --- What stands beside the results ---

    def note(self, text: str) -> None:
        """For people at a terminal."""
        if self._stderr.isatty():
            self.say(text)

    def say(self, text: str) -> None:
        """One line on standard error."""
        if self._bar is not None and self._bar.is_shown:
            self._bar.say(safe_line(text))
            return
        self._stderr.write(safe_line(text) + "\n")
        self._stderr.flush()

    def trace(self, text: str) -> None:
        """The trace of a handler, on standard error."""
        self._stderr.write(safe_block(text).rstrip("\n") + "\n")
        self._stderr.flush()

    def done(self, text: str) -> None:
        """Something has been done."""
        self.say(f"✓ {text}" if self._stderr.isatty() else text)

    @property
    def has_bars(self) -> bool:
        """Whether progress is shown. It would mix with JSON on the same terminal."""
        return self._stderr.isatty() and (self.is_for_people or not self._stdout.isatty())

    def bar(self, text: str, total: float | None) -> ProgressBar:
        """A progress bar on standard error, if that is a terminal. To be used in a `with` block."""
        if not self.has_bars:
            return NoBar()
        self._bar = TerminalBar(self._stderr, text, total)
        return self._bar

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console  # noqa: PLC0415 - only terminals need it

        return Console(file=self._stdout, markup=False, highlight=False, emoji=False)


def _plain_line(cell: Cell) -> str:
    return safe_line(cell.in_pipe or cell.text if isinstance(cell, Styled) else cell)


def _rich_line(cell: Cell) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - only terminals need it

    if isinstance(cell, Styled):
        return Text(safe_line(cell.text), style=cell.style)
    return Text(safe_line(cell))
