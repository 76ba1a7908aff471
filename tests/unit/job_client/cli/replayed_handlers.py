"""Handlers for test_local.py."""

from typing import Any

from worker_service import Job, handler, progress


def payload_name(job: Job) -> str:
    name: str = job.payload["name"]
    return name


@handler("greet", run_in="process")
def greet(
    job: Job,
) -> dict[str, Any]:
    first = "first line"  # the debugger stops here
    if "fail" in job.payload:
        raise RuntimeError(job.payload["fail"])
    print("printed")  # noqa: T201 - a test looks for it
    return {"greeting": f"hello {payload_name(job)}", "attempt": job.attempt} if first else {}


@handler("greet-later")
async def greet_later(job: Job) -> dict[str, Any]:
    first = "first line"
    progress(50, "half")
    return {"greeting": f"hello {payload_name(job)}"} if first else {}


@handler("no-object")
def no_object(_job: Job) -> Any:
    return [1]
