"""The calls of AsyncJobClient that read jobs, wait for them and watch them."""

import math
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Unpack

from job_client._gen.jobs.v1 import job_pb2
from job_client._gen.jobs.v1.job_service_pb2 import ListRequest, WatchRequest, WatchResponse
from job_client.async_base import AsyncBase
from job_client.decode import decode
from job_client.errors import JobNotFound, invalid
from job_client.fields import id_text, text, whole
from job_client.handles import JobRef
from job_client.job import Job, JobPage, to_job
from job_client.options import JobFilter, fill_filter, known, label_texts, status_numbers, texts
from job_client.pending import PendingItem
from job_client.reports import LogEntry
from job_client.watching import watch

FoundJobs = list[Job | None]
"""A name of its own, because the clients have a method `list`."""
PAGE_SIZE = 500


class AsyncReads(AsyncBase):
    """Part of AsyncJobClient."""

    async def get(self, job: JobRef, *, timeout: float | None = None) -> Job:
        """Raises JobNotFound, InvalidArgument, DeadlineExceeded."""
        job_id, give_up = id_text(job), self._session.give_up(timeout)
        return to_job(await (await self._session.calls()).get(job_id, give_up))

    async def get_many(self, jobs: Iterable[JobRef], *, timeout: float | None = None) -> FoundJobs:
        """The jobs, in the order of `jobs`; None where there is no such job.

        Raises InvalidArgument, DeadlineExceeded.
        """
        give_up = self._session.give_up(timeout)
        calls = await self._session.calls()
        items: list[PendingItem[str, job_pb2.Job]] = []
        try:
            for index, job in enumerate(jobs):
                items.append(await calls.start_get(id_text(job, f"ids[{index}]"), give_up))
            return [await _found(item) for item in items]
        finally:
            for item in items:
                item.future.cancel()

    async def list_page(
        self,
        *,
        page_size: int = 50,
        page_token: str = "",
        oldest_first: bool = False,
        basic: bool = False,
        total: bool = False,
        timeout: float | None = None,
        **conditions: Unpack[JobFilter],
    ) -> JobPage:
        """One page of the jobs that match all conditions, newest first.

        `basic`: without payload, result and history. `total`: count all jobs that match. A page may be short
        or empty and still have a `next_page_token`.
        """
        known("list_page", conditions, JobFilter)
        request = ListRequest(
            page_size=whole("page_size", page_size),
            page_token=text("page_token", page_token),
            oldest_first=oldest_first,
            view=job_pb2.Job.basic if basic else job_pb2.Job.full,
            include_total_size=total,
        )
        fill_filter(request, conditions)
        page = await self._call("List", request, timeout)
        size = page.total_size if page.HasField("total_size") else None
        return JobPage(tuple(map(to_job, page.jobs)), page.next_page_token, size, page.total_size_capped)

    async def list(
        self,
        *,
        limit: int | None = None,
        oldest_first: bool = False,
        basic: bool = False,
        timeout: float | None = None,
        **conditions: Unpack[JobFilter],
    ) -> AsyncGenerator[Job, None]:
        """The jobs that match all conditions, newest first, page by page. `limit`: at most so many jobs.

        `timeout` holds for each page.
        """
        known("list", conditions, JobFilter)
        left = math.inf if limit is None else whole("limit", limit)
        token = ""
        while left > 0:
            page = await self.list_page(
                page_size=int(min(left, PAGE_SIZE)),
                page_token=token,
                oldest_first=oldest_first,
                basic=basic,
                timeout=timeout,
                **conditions,
            )
            for job in page.jobs[: int(min(left, PAGE_SIZE))]:
                yield job
            left -= len(page.jobs)
            if not (token := page.next_page_token):
                return

    async def wait(self, job: JobRef, *, timeout: float | None = None) -> Job:
        """Wait until the job is completed, failed or cancelled, and return it.

        `timeout` None: without a limit. Raises JobNotFound, InvalidArgument, DeadlineExceeded. The metadata
        of DeadlineExceeded has the job's last `status` if a server answered.
        """
        job_id, give_up = id_text(job), self._session.forever(timeout)
        return await (await self._session.calls()).waits.wait(job_id, give_up)

    async def watch(
        self,
        job: JobRef | None = None,
        *,
        statuses: Iterable[str] = (),
        types: Iterable[str] = (),
        labels: Mapping[str, str] = {},
        timeout: float | None = None,
    ) -> AsyncGenerator[Job, None]:
        """The present state of a job and each later one; the last is its end. States of several jobs if `job`
        is None: those that match all conditions, without an end.

        A state has no payload, result and history, except for the end of a single job. An outage of the
        server is bridged: states may be left out or come twice, but the latest comes. `timeout` None: without
        a limit; after it the watch ends without an error.
        """
        request = WatchRequest(
            id="" if job is None else id_text(job),
            status=status_numbers(statuses),
            type=texts("types", types),
            labels=label_texts(labels),
        )
        async with aclosing(self._news(request, timeout)) as news:
            async for response in news:
                yield to_job(response.job)

    async def follow_log(
        self, job: JobRef, *, after_number: int = 0, timeout: float | None = None
    ) -> AsyncGenerator[LogEntry, None]:
        """What the job's handler logged and printed, and each new entry until the job has ended.

        `after_number`: only entries with a higher number. An outage of the server is bridged. Numbers are
        missing where entries are not kept. `timeout` None: without a limit; after it the generator ends
        without an error. Raises JobNotFound, InvalidArgument.
        """
        request = WatchRequest(id=id_text(job), include_log=True)
        if (last := whole("after_number", after_number)) < 0:
            raise invalid("after_number", "int32.gte", "must be at least 0")
        async with aclosing(self._news(request, timeout)) as news:
            async for response in news:
                for entry in response.log.entries:
                    # A watch that has to begin anew tells all kept entries again.
                    if entry.number > last:
                        last = entry.number
                        yield decode(entry, LogEntry)

    async def _news(
        self, request: WatchRequest, timeout: float | None
    ) -> AsyncGenerator[WatchResponse, None]:
        give_up = self._session.forever(timeout)
        calls = await self._session.calls()
        async with aclosing(watch(calls.long, request, give_up)) as news:
            try:
                async for response in news:
                    yield response
            except TimeoutError:
                return


async def _found(item: PendingItem[str, job_pb2.Job]) -> Job | None:
    try:
        return to_job(await item.result())
    except JobNotFound:
        return None
