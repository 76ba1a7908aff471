"""Progress bars on a terminal."""

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from contract_runtime.safe_text import safe_line, shorten

if TYPE_CHECKING:
    from rich.progress import Progress

MAX_TEXT = 60


class ProgressBar(Protocol):
    """Shows how far something is, in a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, done: float, text: str | None = None, total: float | None = None) -> None:
        """`text` and `total`: None leaves them as they are."""


class NoBar:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def show(self, done: float, text: str | None = None, total: float | None = None) -> None:
        pass


class TerminalBar:
    """It vanishes at the end of the block. `total` None: nobody knows how long it takes."""

    def __init__(self, terminal: TextIO, text: str, total: float | None) -> None:
        self._terminal = terminal
        self._text = text
        self._total = total
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        from rich.console import Console  # noqa: PLC0415 - only terminals need it
        from rich.progress import (  # noqa: PLC0415 - the same
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(file=self._terminal, markup=False, highlight=False, emoji=False),
            transient=True,
        )
        self._task = self._progress.add_task(_harmless(self._text), total=self._total)
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    @property
    def is_shown(self) -> bool:
        return self._progress is not None

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        if self._progress is not None:
            self._progress.console.print(line, soft_wrap=True)

    def show(self, done: float, text: str | None = None, total: float | None = None) -> None:
        if self._progress is not None:
            description = None if text is None else _harmless(text)
            self._progress.update(self._task, completed=done, description=description, total=total)


def _harmless(text: str) -> str:
    return shorten(safe_line(text), MAX_TEXT)
