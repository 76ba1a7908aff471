"""A password in MONGODB_URI is in no line that the API server writes, whatever goes wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.ports import FREE_PORTS
from local_stack.settings import HOST, ROOT
from local_stack.stack import Stack
from tests.waiting import wait_for

CANARY = "correct-horse-battery"


def started(folder: Path, uri: str, log_format: str) -> tuple[subprocess.Popen[bytes], Path]:
    """An API server, and the file with all that it writes."""
    log = folder / "log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MONGODB_URI": uri,
        "API_SERVER_PORT": str(FREE_PORTS.take()),
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{FREE_PORTS.take()}",
        "LOG_FORMAT": log_format,
        "LOG_LEVEL": "debug",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api_server"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    return process, log


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_while_the_database_cannot_be_reached(tmp_path: Path, log_format: str) -> None:
    uri = f"mongodb://canary:{CANARY}@{HOST}:{FREE_PORTS.take()}/?replicaSet=rs0"
    process, log = started(tmp_path, uri, log_format)
    try:
        wait_for(lambda: "waiting_for_mongodb" in log.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()

    assert CANARY not in log.read_text()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_when_the_database_refuses_the_password(stack: Stack, tmp_path: Path, log_format: str) -> None:
    uri = f"mongodb://canary:{CANARY}@{stack.address('mongodb')}/?replicaSet=rs0&authSource=admin"
    process, log = started(tmp_path, uri, log_format)
    try:
        assert process.wait(60) == 1
    finally:
        process.kill()

    said = log.read_text()
    assert "api_server_failed" in said
    assert "Authentication failed" in said
    assert CANARY not in said


def test_when_the_address_is_wrong(tmp_path: Path) -> None:
    process, log = started(tmp_path, f"mongodb://canary:{CANARY}@{CANARY}@{HOST}/", "json")
    try:
        assert process.wait(60) == 2
    finally:
        process.kill()

    said = log.read_text()
    assert said.splitlines()[-1].startswith("MONGODB_URI: must be a URI such as ")
    assert CANARY not in said
    assert "Traceback" not in said
