"""What a handler logs and prints goes to its job and to the worker's log, wherever the handler runs."""

import io
import json
import os
import subprocess
import sys
from contextvars import copy_context
from typing import Any

import pytest

from worker_service.execution.handler_log import HandlerLog, lines_of, valid
from worker_service.execution.job_lines import JobLines
from worker_service.execution.line_buffer import JobLine, Kind, send_lines_to
from worker_service.execution.prints import MAX_BEGIN, PrintedLines

# Runs one handler in each way, and prints what is kept with the jobs to a file descriptor of its own.
WORKER = """
import asyncio, functools, json, logging, os, sys
import structlog
from service_runtime.logging import configure_logging, flush_logs, show_in_every_line
from service_runtime.settings import ServiceSettings
from tests.unit.worker_service import sample_handlers
from worker_service import Job
from worker_service.execution.executor import Executor
from worker_service.execution.handler_log import HandlerLog, prepare_log
from worker_service.execution.prints import log_prints
from worker_service.handler_api.handler import handlers_in

CODE = '''
import logging, sys, structlog
def run(job):
    logging.info("root %s", 1)
    logging.getLogger("app.part").warning("named")
    logging.getLogger("app").debug("not kept")
    structlog.get_logger().info("event", size=3, what="two words", attempt=job.attempt)
    print("printed", 2)
    print("to stderr", file=sys.stderr)
    print("no end", end="")
    sys.stdout.flush()
    try:
        raise KeyError("logged")
    except KeyError:
        logging.exception("caught")
    raise ValueError("failed")
'''

async def main():
    specs = {spec.type: spec for spec in handlers_in(sample_handlers)}
    settings = ServiceSettings(log_format="json")
    executor = Executor(
        threads=1, processes=1, prepare_process=functools.partial(prepare_log, settings, 7, "w/1")
    )
    logging.info("of a library, outside of a handler")
    structlog.get_logger().info("of the worker")
    for way in ("act-async", "act-thread", "act-process"):
        await executor.run(specs[way], Job(way, way, 2, {"code": CODE}))
    executor.run_inline(specs["act-loop"], Job("act-loop", "act-loop", 2, {"code": CODE}))
    kept = {
        each.log.job_id: [each.first, each.log.attempt, [list(line[1:]) for line in each.lines]]
        for each in executor.lines.unsent(100, 10_000_000)
    }
    with open(int(sys.argv[1]), "w") as report:
        json.dump(kept, report)
    await executor.close()
    flush_logs()

if __name__ == "__main__":
    configure_logging(ServiceSettings(log_format="json"), 7, HandlerLog())
    show_in_every_line(worker_id="w/1")
    log_prints()
    asyncio.run(main())
"""
WAYS = ["act-async", "act-loop", "act-process", "act-thread"]


@pytest.fixture(scope="module")
def worker() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What was kept with each job, and the lines of the worker's log."""
    read, write = os.pipe()
    ended = subprocess.run(
        [sys.executable, "-c", WORKER, str(write)],
        capture_output=True,
        pass_fds=[write],
        check=True,
        timeout=60,
    )
    os.close(write)
    with os.fdopen(read) as report:
        kept = json.load(report)
    assert ended.stdout == b""
    return kept, [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_handler_logs_and_prints_is_kept_with_its_job(
    worker: tuple[dict[str, Any], list[dict[str, Any]]], way: str
) -> None:
    first, attempt, lines = worker[0][way]
    assert (first, attempt) == (1, 2)
    assert lines[:6] == [
        ["line", "info", "root", "root 1"],
        ["line", "warning", "app.part", "named"],
        ["line", "info", "", "event size=3 what='two words'"],
        ["line", "info", "stdout", "printed 2"],
        ["line", "info", "stderr", "to stderr"],
        ["line", "error", "root", "caught"],
    ]
    kind, level, logger, trace = lines[6]
    assert (kind, level, logger) == ("trace", "error", "root")
    assert trace.endswith("KeyError: 'logged'")
    assert lines[7] == ["line", "info", "stdout", "no end"]
    kind, level, logger, trace = lines[8]
    assert (kind, level, logger) == ("trace", "error", "")
    assert trace.startswith("Traceback")
    assert trace.endswith("ValueError: failed")
    assert len(lines) == 9


@pytest.mark.parametrize("way", WAYS)
def test_the_same_is_in_the_log_of_the_worker_as_json(
    worker: tuple[dict[str, Any], list[dict[str, Any]]], way: str
) -> None:
    lines = [each for each in worker[1] if each.get("job_id") == way]
    assert [each["event"] for each in lines] == [
        "root 1",
        "named",
        "event",
        "printed 2",
        "to stderr",
        "caught",
        "no end",
        "handler_failed",
    ]
    assert {(each["type"], each["attempt"]) for each in lines} == {(way, 2)}


def test_every_line_names_the_worker(worker: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    assert {(each["worker_id"], each["process"]) for each in worker[1]} == {("w/1", 7)}


def test_libraries_log_only_warnings_outside_of_handlers(
    worker: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    others = [each["event"] for each in worker[1] if "job_id" not in each]
    assert others == ["of the worker"]


def line(event: dict[str, Any]) -> JobLine:
    [line] = lines_of(event, 5.0)
    return line


def test_a_line_is_cut_at_4000_characters() -> None:
    assert line({"event": "x" * 4000}).message == "x" * 4000
    message = line({"event": "x" * 4001}).message
    assert len(message) == 4000
    assert "characters left out" in message


def test_a_line_shows_the_fields_of_structlog_that_an_entry_does_not_have() -> None:
    event = {"event": "paid", "level": "info", "timestamp": "t", "job_id": "j", "n": 1, "to": "", "x": None}
    assert line(event) == JobLine(5.0, Kind.LINE, "info", "", "paid n=1 to='' x=None")


def test_texts_are_valid_for_protobuf_whatever_a_handler_logs() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise KeyError

    message = line({"event": "\udcff" * 1000, "a": Hostile(), "\udc00": "\udc01"}).message
    message.encode()
    assert len(message) <= 4000
    assert valid("\udcff", 20) == "\\udcff"


def test_a_forked_process_sends_nothing() -> None:
    lines = JobLines()
    log, observer = lines.open("job", 1), HandlerLog()

    def run() -> None:
        send_lines_to(log)
        observer.observe({"event": "own"})
        observer._pid = 0
        observer.observe({"event": "of a fork"})

    copy_context().run(run)
    [numbered] = lines.unsent(1, 1000)
    assert [each.message for each in numbered.lines] == ["own"]


class Prints:
    """A stream that replaces another one, and its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stream = PrintedLines(io.TextIOWrapper(io.BytesIO(), "utf-8"), "stdout", self.lines.append)

    def print(self, *values: object, end: str = "\n") -> None:
        print(*values, end=end, file=self.stream)


def test_what_is_printed_piece_by_piece_becomes_whole_lines() -> None:
    prints = Prints()
    prints.print("a", end="")
    prints.print("b", end="")
    assert prints.lines == []
    prints.print("c\nd\n\ne")
    assert prints.lines == ["abc", "d", "e"]


def test_each_return_of_a_progress_bar_ends_a_line() -> None:
    prints = Prints()
    prints.print("\r10 %\r20 %", end="")
    assert prints.lines == ["10 %"]


def test_the_begin_of_a_line_does_not_grow_without_end() -> None:
    prints = Prints()
    prints.print("x" * (MAX_BEGIN - 1), end="")
    assert prints.lines == []
    prints.print("x", end="")
    assert prints.lines == ["x" * MAX_BEGIN]


def test_handlers_that_print_in_turn_do_not_mix_their_lines() -> None:
    prints, lines = Prints(), JobLines()
    contexts = [copy_context(), copy_context()]
    for context, name in zip(contexts, "ab", strict=True):
        context.run(send_lines_to, lines.open(name, 1))
        context.run(prints.print, f"begin of {name}", end="")
    for context in contexts:
        context.run(prints.print, ", end")
    assert prints.lines == ["begin of a, end", "begin of b, end"]


def test_the_stream_answers_as_the_one_that_it_replaces() -> None:
    prints = Prints()
    stream = prints.stream
    assert (stream.encoding, stream.errors, stream.isatty(), stream.writable()) == (
        "utf-8",
        "strict",
        False,
        True,
    )
    stream.reconfigure(line_buffering=True)
    stream.buffer.write(b"bytes")
    stream.flush()
    stream.close()
    prints.print("still open")
    assert prints.lines == ["still open"]
    with pytest.raises(TypeError):
        stream.write(b"bytes")  # type: ignore[arg-type]
