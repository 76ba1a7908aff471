"""One watch of one job, with or without its log."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import replace
from uuid import UUID

from api_server.domain.errors import JobNotFound
from api_server.domain.job import Job
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.hints import Hints
from api_server.feed.ports import Subject, Topic
from api_server.feed.watches import End, Hint, Told, Watch, Watches
from api_server.ports import JobStore
from api_server.services.job_logs import JobLogs
from api_server.services.watch_events import BEGIN, Heartbeat, JobPlace, Logged, Started, WatchEvent


class OneJobWatch:
    """First the present state, then each state that follows, until the job has ended.

    Entries of the log are read when the watch is hinted that there are new ones, and before each change of
    the status. They are known by their numbers, so none comes twice.
    """

    def __init__(
        self,
        job_id: UUID,
        store: JobStore,
        feed: ChangeFeed,
        watches: Watches,
        logs: JobLogs,
        hints: Hints,
        heartbeat: float,
    ) -> None:
        """`heartbeat`: seconds."""
        self._job_id = job_id
        self._store = store
        self._feed = feed
        self._watches = watches
        self._logs = logs
        self._hints = hints
        self._heartbeat = heartbeat
        self._place = BEGIN
        self._job: Job
        """The latest state."""

    async def events(self, after: JobPlace) -> AsyncGenerator[WatchEvent, None]:
        """What follows `after`, which also says whether the log is watched. Raises JobNotFound."""
        self._place = after
        # A change that is made after the reads below is told.
        await self._feed.position()
        with ExitStack() as registered:
            watch = self._registered(registered)
            for event in await self._begin():
                yield event
            while not self._job.status.is_terminal:
                for event in await self._news(watch):
                    yield event
                    if isinstance(event.content, End):
                        return
            yield WatchEvent(End.JOB_ENDED, self._place)

    def _registered(self, registered: ExitStack) -> Watch:
        """From now on the watch is told what happens."""
        watch = registered.enter_context(self._watches.on(self._job_id))
        if self._place.log_number is not None:
            registered.enter_context(self._hints.on(Subject(Topic.JOB_LOG, self._job_id), watch))
        return watch

    async def _begin(self) -> list[WatchEvent]:
        job = (await self._store.summaries([self._job_id])).get(self._job_id)
        if job is None:
            raise JobNotFound(self._job_id)
        self._job = job
        self._feed.learn(job)
        logged = await self._logged()
        state = [self._state(job)] if job.revision > self._place.revision else []
        return [*logged, *state, WatchEvent(Started(), self._place)]

    async def _news(self, watch: Watch) -> list[WatchEvent]:
        """What comes next. It may be nothing."""
        match await watch.next(self._heartbeat):
            case Told(job) if job.revision > self._place.revision:
                # What was logged before a change of the status was stored before it, too.
                logged = [] if job.status is self._job.status else await self._logged()
                return [*logged, self._state(job)]
            case Told():
                return []
            case Hint():
                return await self._logged()
            case None:
                return [WatchEvent(Heartbeat(), self._place)]
            case why:
                return [WatchEvent(why, self._place)]

    def _state(self, job: Job) -> WatchEvent:
        self._job = job
        self._place = replace(self._place, revision=job.revision)
        return WatchEvent(job, self._place)

    async def _logged(self) -> list[WatchEvent]:
        """The new entries of the log, if it is watched and there are any."""
        if self._place.log_number is None:
            return []
        entries = await self._logs.after(self._job, self._place.log_number)
        if not entries:
            return []
        self._place = replace(self._place, log_number=entries[-1].number)
        return [WatchEvent(Logged(entries), self._place)]
