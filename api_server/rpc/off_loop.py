"""Converts large messages in a thread, so that they do not delay other calls, and small ones at once."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from api_server.domain.job import Job
from api_server.rpc.answers import job_message
from api_server.services.job_groups import LARGE, is_large
from job_client._gen.jobs.v1 import job_pb2

M = TypeVar("M", bound=Message)
T = TypeVar("T")


async def decoded(convert: Callable[[M], T], request: M, size: int) -> T:
    """The request, converted. `size`: its bytes as protobuf. Raises what `convert` raises."""
    if size > LARGE:
        return await asyncio.to_thread(convert, request)
    return convert(request)


async def encoded(job: Job) -> job_pb2.Job:
    """The job as a message."""
    if is_large(job):
        return await asyncio.to_thread(job_message, job)
    return job_message(job)
