"""What a handler says of its progress is heard, in each way of running: the last word, soon, at hardly any cost."""

import asyncio
import contextvars
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.v1.fleet_service_pb2 import JobProgress
from service_runtime.validation import ContractValidator
from tests.unit.worker_service.execution.test_executor import SPECS, WAYS, job
from tests.waiting import until
from worker_service import Job, progress
from worker_service.execution.executor import Executor
from worker_service.execution.invoke import call
from worker_service.execution.outcome import Failed, Succeeded
from worker_service.execution.progress_board import LatestProgress, ProgressBoard, job_progress
from worker_service.handler_api.progress import OutsideHandler, ProgressUpdate, hear

JOB_ID = "01938f4e-7c3a-7b2e-9d41-3f5a6b7c8d9e"
VALIDATOR = ContractValidator()


def say(*words: tuple[Any, Any]) -> list[ProgressUpdate]:
    """What is heard when a handler says these."""
    heard: list[ProgressUpdate] = []
    context = contextvars.copy_context()
    context.run(hear, heard.append)
    for percent, message in words:
        context.run(progress, percent, message)
    return heard


@pytest.mark.parametrize("way", WAYS)
async def test_a_handler_s_last_word_is_heard_while_it_runs(tmp_path: Path, way: str) -> None:
    executor = Executor(threads=1, processes=1)
    latest = LatestProgress("0190-id", 2)
    end = tmp_path / "end"
    if way in ("act-loop", "act-async"):
        end.touch()  # nobody could be heard while the loop is busy
    words = [[number / 10, f"step {number}"] for number in range(1001)]
    payload = {"say": words, "then_wait_for": str(end)}

    running = asyncio.create_task(executor.run(SPECS[way], job(way, payload), say=latest.say))
    await until(lambda: latest.unsent == ProgressUpdate(100, "step 1000"))

    assert running.done() == end.exists()
    end.touch()
    assert isinstance(await running, Succeeded)
    await executor.close()


async def test_words_of_one_job_in_a_process_are_not_taken_for_the_next_one_s() -> None:
    executor = Executor(threads=1, processes=1)
    spec, heard = SPECS["act-process"], list[ProgressUpdate]()

    for number in range(30):
        await executor.run(spec, job("act-process", {"say": [[number, ""]]}))
        assert isinstance(await executor.run(spec, job("act-process", {}), say=heard.append), Succeeded)

    assert heard == []
    await executor.close()


async def test_what_is_said_in_vain_does_not_hold_a_process_up() -> None:
    executor = Executor(threads=1, processes=1)
    spec, heard = SPECS["act-process"], list[ProgressUpdate]()
    words = [[number % 100, "x" * 512] for number in range(20_000)]  # far more than a pipe holds

    await executor.run(spec, job("act-process", {"say": words}), say=heard.append)

    assert len(heard) < len(words) / 10
    await executor.close()


@pytest.mark.parametrize("percent", [-0.001, 100.001, float("nan"), float("inf"), 10**400])
def test_a_percentage_out_of_range_fails_its_handler(percent: float) -> None:
    outcome = call(lambda _job: progress(percent), job("x", {})).outcome

    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("ValueError: progress: percent must be from 0 to 100, is ")


@pytest.mark.parametrize(("percent", "message"), [("50", ""), (None, ""), (50, None), (50, b"half")])
def test_a_word_of_the_wrong_type_fails_its_handler(percent: Any, message: Any) -> None:
    with pytest.raises(TypeError):
        say((percent, message))


@pytest.mark.parametrize("percent", [0, 100, True, 0.5])
def test_a_percentage_at_its_limits_is_heard(percent: float) -> None:
    [word] = say((percent, ""))

    assert word == ProgressUpdate(percent, "")
    assert type(word.percent) is float


def test_a_message_is_cut_at_512_characters() -> None:
    assert [word.message for word in say((1, "ü" * 512), (1, "ü" * 513))] == ["ü" * 512] * 2


def test_outside_a_handler_nobody_listens() -> None:
    with pytest.raises(OutsideHandler, match="by a running handler only"):
        progress(50)


def test_a_thread_of_the_handler_s_speaks_in_a_copy_of_its_context() -> None:
    heard: list[ProgressUpdate] = []

    def speak(_job: Job) -> dict[str, Any]:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(progress, 50, "half"))
        thread.start()
        thread.join()
        return {}

    call(speak, job("x", {}), heard.append)

    assert heard == [ProgressUpdate(50, "half")]


class Lying(float):
    """A number that says of itself that it is between any two others."""

    def __ge__(self, _other: object) -> bool:
        return True

    def __le__(self, _other: object) -> bool:
        return True


class Longer(str):
    """A text whose parts are no texts."""

    __slots__ = ()

    def __getitem__(self, _key: object) -> Any:
        return 5


def test_a_word_is_what_its_parts_exactly_are_whatever_they_say_of_themselves() -> None:
    heard = list[ProgressUpdate]()
    call(lambda _job: progress(Lying(50), Longer("x" * 600)), job("x", {}), heard.append)
    assert heard == [ProgressUpdate(50.0, "x" * 512)]
    assert (type(heard[0].percent), type(heard[0].message)) == (float, str)

    failed = call(lambda _job: progress(Lying(1e300)), job("x", {}), heard.append).outcome
    assert isinstance(failed, Failed)
    assert failed.message.startswith("ValueError: progress: percent must be from 0 to 100, is ")
    assert len(heard) == 1


def test_a_million_words_cost_seconds_at_most() -> None:
    latest = LatestProgress(JOB_ID, 1)

    def speak(_job: Job) -> dict[str, Any]:
        for _ in range(1_000_000):
            progress(50, "half")
        return {}

    started = time.process_time()
    call(speak, job("x", {}), latest.say)

    assert time.process_time() - started < 10


class TestBoard:
    def test_a_word_is_unsent_until_it_has_been_carried(self) -> None:
        board = ProgressBoard()
        latest = board.open("a", 1)
        assert board.unsent(10) == {}

        latest.say(ProgressUpdate(10, ""))
        assert board.unsent(10) == {latest: ProgressUpdate(10, "")}
        assert board.unsent(10) == {latest: ProgressUpdate(10, "")}, "its heartbeat failed"

        board.note_sent(board.unsent(10))
        assert board.unsent(10) == {}

    def test_a_word_said_while_another_one_travels_is_not_lost(self) -> None:
        board = ProgressBoard()
        latest = board.open("a", 1)
        latest.say(ProgressUpdate(10, ""))
        words = board.unsent(10)
        latest.say(ProgressUpdate(20, ""))
        board.note_sent(words)

        assert board.unsent(10) == {latest: ProgressUpdate(20, "")}

    def test_words_of_ended_jobs_are_dropped(self) -> None:
        board = ProgressBoard()
        first, second = board.open("a", 1), board.open("b", 1)
        first.say(ProgressUpdate(10, ""))
        second.say(ProgressUpdate(20, ""))
        words = board.unsent(10)
        board.close(first)
        assert board.unsent(10) == {second: ProgressUpdate(20, "")}

        board.note_sent(words)
        first.say(ProgressUpdate(30, ""))
        assert board.unsent(10) == {}

    def test_what_is_too_much_goes_next_time_however_much_is_said(self) -> None:
        board = ProgressBoard()
        all_of_them = [board.open(str(number), 1) for number in range(5)]
        carried: list[str] = []
        for time_ in range(5):
            for latest in all_of_them:
                latest.say(ProgressUpdate(time_, ""))
            words = board.unsent(2)
            carried += [latest.job_id for latest in words]
            board.note_sent(words)

        assert carried == ["0", "1", "2", "3", "4", "0", "1", "2", "3", "4"]


@given(st.floats(0, 100), st.text(st.characters(), max_size=600))
def test_any_word_is_fit_for_the_contract(percent: float, message: str) -> None:
    latest = LatestProgress(JOB_ID, 1)
    [word] = say((percent, message))

    [told] = job_progress({latest: word})

    VALIDATOR.check(told)
    assert JobProgress.FromString(told.SerializeToString()) == told
