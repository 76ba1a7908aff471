"""Where the feed's changes and hints come from. Adapters implement these."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol
from uuid import UUID

from api_server.domain.changes import JobChange


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since the changes before. `ended`: jobs that have ended. `changes`: all changes that a
    reader can see; empty if only ends were asked for.
    """

    ended: Sequence[UUID]
    changes: Sequence[JobChange] = ()


class OpenChangeStream(Protocol):
    """Delivers the changes of all processes in their order."""

    @property
    def position(self) -> str:
        """After the changes that were delivered. Positions are ordered as strings, on all servers."""

    async def next(self, about: Callable[[UUID], bool] | None = None) -> Changes:
        """The next changes, as soon as there are any; none after a moment without a change.

        `about`: whether a job's changes are needed; None: all are. It is asked when the changes have arrived.
        Changes that are not needed are left out, which saves most of the work that they make.
        """


class ChangeStream(Protocol):
    """Where changes come from. An open stream keeps one connection busy while it is read."""

    def open(
        self, after: str | None = None, *, only_ends: bool = False
    ) -> AbstractAsyncContextManager[OpenChangeStream]:
        """A stream of the changes after a position; None: from now on. It ends with the block.

        Opening and reading it raise StoreUnavailable, and ResumeTokenExpired if `after` is too long ago.
        Raises InvalidArgument, field `resume_token`, if `after` is no position.
        """


class Topic(Enum):
    """What can be watched besides jobs themselves."""

    JOB_LOG = auto()
    OPERATION = auto()


class Subject(NamedTuple):
    """What a hint is about. `id`: the operation's, or for a log the job's."""

    topic: Topic
    id: UUID


class OpenHintStream(Protocol):
    """Delivers what all processes change."""

    async def next(self) -> Sequence[Subject]:
        """What has changed, as soon as anything has; nothing after a moment without a change.

        A majority of the database has the changes. Raises StoreUnavailable, and ResumeTokenExpired if changes
        may be missed.
        """


class HintStream(Protocol):
    """Says which logs and operations have changed, and not how."""

    def open(self) -> AbstractAsyncContextManager[OpenHintStream]:
        """A stream of what changes from now on. It ends with the block. Raises StoreUnavailable."""
