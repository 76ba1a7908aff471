"""Each error of the client becomes a sentence and an exit status."""

import grpc
import pytest

from job_client import DeadlineExceeded, InvalidArgument, JobClientError, JobNotFound, Unavailable
from job_client.cli.exits import FAILED, UNREACHABLE, USAGE, of_error

CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (
            Unavailable("no server answers at x", reason="CLIENT_CANNOT_CONNECT"),
            UNREACHABLE,
            "no server answers",
        ),
        (Unavailable("busy"), UNREACHABLE, "the server did not answer in time: busy; try again later"),
        (
            DeadlineExceeded("late", metadata={"id": "ID"}),
            UNREACHABLE,
            "the job may be stored, `jobctl get ID`",
        ),
        (InvalidArgument("type: unknown"), USAGE, "type: unknown"),
        (
            JobNotFound("there is no job", reason="JOB_NOT_FOUND"),
            FAILED,
            "there is no job; `jobctl list` shows",
        ),
        (JobClientError("no", code=CODE.UNAUTHENTICATED), FAILED, "set JOBS_TOKEN"),
        (JobClientError("no", code=CODE.PERMISSION_DENIED), FAILED, "set JOBS_TOKEN"),
        (JobClientError("", code=CODE.UNIMPLEMENTED), FAILED, "UNIMPLEMENTED; the server may be older"),
        (JobClientError("it has ended", reason="JOB_TERMINAL"), FAILED, "it has ended"),
        (JobClientError(""), FAILED, "UNKNOWN"),
    ],
)
def test_errors(error: JobClientError, status: int, text: str) -> None:
    found = of_error(error)
    assert found.status == status
    assert text in found.sentence
