"""A user's module with two handlers. No server knows their types before a worker registers them."""

from dataclasses import dataclass

from job_client.worker import Job, handler

JOB_TYPE = "newcomer"
TYPED = "picture-size"


@dataclass
class Size:
    width: int
    height: int


@dataclass
class ThumbnailRequest:
    url: str
    size: Size


@dataclass
class ThumbnailResult:
    pixels: int
    team: str


@handler(JOB_TYPE)
async def welcome(job: Job) -> dict[str, object]:
    return {"hello": job.payload.get("name")}


@handler(TYPED)
async def thumbnail(payload: ThumbnailRequest, job: Job) -> ThumbnailResult:
    return ThumbnailResult(
        payload.size.width * payload.size.height, f"{job.labels['team']}{job.max_attempts}"
    )
