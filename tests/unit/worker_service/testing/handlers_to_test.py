"""Handlers that a user would test."""

import logging
import time
from dataclasses import dataclass

import structlog
from pydantic import BaseModel

from job_client.worker import Job, PermanentError, RetryAfter, handler, progress

log = structlog.get_logger()


@dataclass
class Request:
    name: str
    times: int = 1


class Greeting(BaseModel):
    text: str


@handler("greet")
async def greet(payload: Request, job: Job) -> Greeting:
    progress(50, "half")
    logging.getLogger("tests").info("greets %s", payload.name)
    log.info("greeted", team=job.labels.get("team"))
    log.debug("not kept")
    progress(100)
    return Greeting(text=f"hello {payload.name}" * payload.times)


@handler("greet-process", run_in="process")
def greet_in_process(payload: Request) -> Greeting:
    progress(100, "done")
    logging.getLogger("tests").info("greets %s", payload.name)
    log.warning("in a process")
    return Greeting(text=f"hello {payload.name}")


@handler("fails")
def fails(payload: dict[str, object]) -> dict[str, object]:
    match payload.get("how"):
        case "permanent":
            raise PermanentError("no use")
        case "later":
            raise RetryAfter(30, "busy")
        case "slow":
            time.sleep(0.3)
    raise RuntimeError("broken")


def not_declared(payload: Request) -> Greeting:
    return Greeting(text=payload.name)


def nested() -> object:
    @handler("nested", run_in="process")
    def run(payload: Request) -> Greeting:
        return Greeting(text=payload.name)

    return run
