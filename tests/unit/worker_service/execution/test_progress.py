"""Progress of a handler arrives wherever it runs: the last update, soon, and at almost no cost."""

import asyncio
import contextvars
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_client._gen.jobs.v1.fleet_service_pb2 import JobProgress
from service_runtime.validation import ContractValidator
from tests.unit.worker_service.execution.test_executor import SPECS, WAYS, job
from tests.unit.worker_service.recording_listener import RecordingListener
from tests.waiting import until
from worker_service import Job, progress
from worker_service.execution.executor import Executor
from worker_service.execution.invoke import invoke
from worker_service.execution.outcome import Failed, Succeeded
from worker_service.execution.progress_board import LatestProgress, ProgressBoard, job_progress
from worker_service.handler_api.progress import OutsideHandler, ProgressUpdate, send_progress_to

JOB_ID = "01938f4e-7c3a-7b2e-9d41-3f5a6b7c8d9e"
VALIDATOR = ContractValidator()


def report(*updates: tuple[Any, Any]) -> list[ProgressUpdate]:
    """The updates that arrive when a handler reports these percentages and messages."""
    arrived: list[ProgressUpdate] = []
    context = contextvars.copy_context()
    context.run(send_progress_to, arrived.append)
    for percent, message in updates:
        context.run(progress, percent, message)
    return arrived


@pytest.mark.parametrize("way", WAYS)
async def test_the_last_update_arrives_while_the_handler_runs(
    shared: Executor, tmp_path: Path, way: str
) -> None:
    listener = RecordingListener()
    end = tmp_path / "end"
    blocks_the_loop = way in ("act-loop", "act-async")
    if blocks_the_loop:
        end.touch()
    updates = [[number / 10, f"step {number}"] for number in range(1001)]
    payload = {"progress": updates, "then_wait_for": str(end)}

    running = asyncio.create_task(shared.run(SPECS[way], job(way, payload), listener=listener))
    await until(lambda: listener.updates[-1:] == [ProgressUpdate(100, "step 1000")])

    if not blocks_the_loop:
        assert not running.done()
    end.touch()
    assert isinstance(await running, Succeeded)


async def test_late_progress_of_a_job_in_a_process_does_not_go_to_the_next_job(shared: Executor) -> None:
    spec, listener = SPECS["act-process"], RecordingListener()

    for number in range(30):
        await shared.run(spec, job("act-process", {"progress": [[number, ""]]}))
        assert isinstance(await shared.run(spec, job("act-process", {}), listener=listener), Succeeded)

    assert listener.updates == []


async def test_most_of_many_updates_in_a_process_are_dropped(shared: Executor) -> None:
    spec, listener = SPECS["act-process"], RecordingListener()
    updates = [[number % 100, "x" * 512] for number in range(20_000)]  # far more than a pipe holds

    await shared.run(spec, job("act-process", {"progress": updates}), listener=listener)

    assert len(listener.updates) < len(updates) / 10


@pytest.mark.parametrize("percent", [-0.001, 100.001, float("nan"), float("inf"), 10**400])
def test_a_percentage_out_of_range_fails_its_handler(percent: float) -> None:
    outcome = invoke(lambda _job: progress(percent), job("x", {})).outcome

    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("ValueError: progress: percent must be from 0 to 100, is ")


@pytest.mark.parametrize(("percent", "message"), [("50", ""), (None, ""), (50, None), (50, b"half")])
def test_an_update_of_the_wrong_type_fails_its_handler(percent: Any, message: Any) -> None:
    with pytest.raises(TypeError):
        report((percent, message))


@pytest.mark.parametrize("percent", [0, 100, True, 0.5])
def test_a_percentage_at_its_limits_arrives(percent: float) -> None:
    [update] = report((percent, ""))

    assert update == ProgressUpdate(percent, "")
    assert type(update.percent) is float


def test_a_message_is_cut_at_512_characters() -> None:
    assert [update.message for update in report((1, "ü" * 512), (1, "ü" * 513))] == ["ü" * 512] * 2


def test_progress_outside_a_handler_raises() -> None:
    with pytest.raises(OutsideHandler, match="only be called by a running handler"):
        progress(50)


def test_a_thread_of_the_handler_can_report_in_a_copy_of_its_context() -> None:
    arrived: list[ProgressUpdate] = []

    def work(_job: Job) -> dict[str, Any]:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(progress, 50, "half"))
        thread.start()
        thread.join()
        return {}

    invoke(work, job("x", {}), arrived.append)

    assert arrived == [ProgressUpdate(50, "half")]


class Lying(float):
    """A number that claims to be between any two others."""

    def __ge__(self, _other: object) -> bool:
        return True

    def __le__(self, _other: object) -> bool:
        return True


class Longer(str):
    """A text whose slices are not texts."""

    __slots__ = ()

    def __getitem__(self, _key: object) -> Any:
        return 5


def test_an_update_has_a_plain_float_and_a_plain_str_of_exactly_these_values() -> None:
    arrived = list[ProgressUpdate]()
    invoke(lambda _job: progress(Lying(50), Longer("x" * 600)), job("x", {}), arrived.append)
    assert arrived == [ProgressUpdate(50.0, "x" * 512)]
    assert (type(arrived[0].percent), type(arrived[0].message)) == (float, str)

    failed = invoke(lambda _job: progress(Lying(1e300)), job("x", {}), arrived.append).outcome
    assert isinstance(failed, Failed)
    assert failed.message.startswith("ValueError: progress: percent must be from 0 to 100, is ")
    assert len(arrived) == 1


def test_an_update_costs_less_than_10_microseconds() -> None:
    latest = LatestProgress(JOB_ID, 1)

    def work(_job: Job) -> dict[str, Any]:
        for _ in range(100_000):
            progress(50, "half")
        return {}

    started = time.process_time()
    invoke(work, job("x", {}), latest.update)

    assert time.process_time() - started < 1


class TestBoard:
    def test_an_update_is_unsent_until_it_was_sent(self) -> None:
        board = ProgressBoard()
        latest = board.open("a", 1)
        assert board.unsent(10) == {}

        latest.update(ProgressUpdate(10, ""))
        assert board.unsent(10) == {latest: ProgressUpdate(10, "")}
        assert board.unsent(10) == {latest: ProgressUpdate(10, "")}, "its heartbeat failed"

        board.note_sent(board.unsent(10))
        assert board.unsent(10) == {}

    def test_an_update_that_comes_while_another_is_sent_is_not_lost(self) -> None:
        board = ProgressBoard()
        latest = board.open("a", 1)
        latest.update(ProgressUpdate(10, ""))
        updates = board.unsent(10)
        latest.update(ProgressUpdate(20, ""))
        board.note_sent(updates)

        assert board.unsent(10) == {latest: ProgressUpdate(20, "")}

    def test_updates_of_ended_jobs_are_dropped(self) -> None:
        board = ProgressBoard()
        first, second = board.open("a", 1), board.open("b", 1)
        first.update(ProgressUpdate(10, ""))
        second.update(ProgressUpdate(20, ""))
        updates = board.unsent(10)
        board.close(first)
        assert board.unsent(10) == {second: ProgressUpdate(20, "")}

        board.note_sent(updates)
        first.update(ProgressUpdate(30, ""))
        assert board.unsent(10) == {}

    def test_jobs_take_turns_when_not_all_updates_fit(self) -> None:
        board = ProgressBoard()
        jobs = [board.open(str(number), 1) for number in range(5)]
        sent: list[str] = []
        for percent in range(5):
            for latest in jobs:
                latest.update(ProgressUpdate(percent, ""))
            updates = board.unsent(2)
            sent += [latest.job_id for latest in updates]
            board.note_sent(updates)

        assert sent == ["0", "1", "2", "3", "4", "0", "1", "2", "3", "4"]


@given(st.floats(0, 100), st.text(st.characters(), max_size=600))
def test_any_update_is_valid_for_the_contract(percent: float, message: str) -> None:
    latest = LatestProgress(JOB_ID, 1)
    [update] = report((percent, message))

    [sent] = job_progress({latest: update})

    VALIDATOR.check(sent)
    assert JobProgress.FromString(sent.SerializeToString()) == sent
