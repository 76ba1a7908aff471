"""Handlers with types for tests, in a module that job processes can import."""

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from worker_service import Job, handler


@dataclass
class Size:
    width: int
    height: int


@dataclass
class ThumbnailRequest:
    url: str
    size: Size
    tags: list[str] = field(default_factory=list)


@dataclass
class ThumbnailResult:
    area: int
    made_on: date


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Rectangle(BaseModel):
    kind: Literal["rectangle"]
    sides: list[float] = Field(min_length=2, max_length=2)


class Names(TypedDict):
    first: str
    last: NotRequired[str]


@handler("typed-async")
async def thumbnail(payload: ThumbnailRequest) -> ThumbnailResult:
    return ThumbnailResult(payload.size.width * payload.size.height, date(2026, 1, 2))


@handler("typed-thread")
def thumbnail_in_thread(payload: ThumbnailRequest, job: Job) -> ThumbnailResult:
    assert job.payload["url"] == payload.url
    return ThumbnailResult(payload.size.width * payload.size.height, date(2026, 1, 2))


@handler("typed-process", run_in="process")
def thumbnail_in_process(payload: ThumbnailRequest) -> ThumbnailResult:
    return ThumbnailResult(payload.size.width * payload.size.height, date(2026, 1, 2))


@handler("typed-loop", run_in="loop")
def thumbnail_on_loop(payload: ThumbnailRequest) -> ThumbnailResult:
    return ThumbnailResult(payload.size.width * payload.size.height, date(2026, 1, 2))


@handler("shape")
async def shape(payload: Circle | Rectangle) -> dict[str, Any]:
    return {"kind": type(payload).__name__}


@handler("tagged")
async def tagged(
    payload: Annotated[Circle | Rectangle, Field(discriminator="kind"), ["cannot be hashed"]],
) -> dict[str, Any]:
    return {"kind": type(payload).__name__}


@handler("names")
async def names(payload: Names) -> Names:
    return {"first": payload["first"].upper()}


@handler("plain", run_in="loop")
def plain(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


@handler("wrong-result")
async def wrong_result(payload: dict[str, Any]) -> ThumbnailResult:
    if "none" in payload:
        return None  # type: ignore[return-value]  # - a handler with a fault
    result = ThumbnailResult(1, date(2026, 1, 2))
    result.area = payload["area"]
    return result


def facts_of(job: Job) -> dict[str, Any]:
    assert job.deadline is not None
    return {"labels": dict(job.labels), "tries": job.max_attempts, "deadline": job.deadline.isoformat()}


@handler("facts-async")
async def facts_async(_payload: dict[str, Any], job: Job) -> dict[str, Any]:
    return facts_of(job)


@handler("facts-process", run_in="process")
def facts_process(_payload: dict[str, Any], job: Job) -> dict[str, Any]:
    return facts_of(job)
