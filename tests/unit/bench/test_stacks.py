"""py-spy's samples, counted by part and by function."""

from bench.stacks import read_stacks, tables

LINES = [
    "thread (MainThread: 0x7F);main (api_server/__main__.py:1);call (service_runtime/checked_calls.py:9) 3",
    "thread (MainThread: 0x7F);main (api_server/__main__.py:1);f (contract_runtime/structs.py:5);x (x) 5",
    "thread (MainThread: 0x7F);main (api_server/__main__.py:1);main (api_server/__main__.py:1) 2",
    "thread (Thread-1: 0x8F);_worker (concurrent/futures/thread.py:69) 7",
    "thread (Thread-1: 0x8F);run (elsewhere.py:69) 1",
]


def test_samples_of_the_main_thread_are_counted_separately() -> None:
    main, others = read_stacks(LINES)

    assert (main.total, others.total) == (10, 8)


def test_a_sample_belongs_to_its_innermost_known_part() -> None:
    main, others = read_stacks(LINES)

    assert main.by_part() == {"runtime": 3, "Struct conversion": 5, "our code": 2}
    assert others.by_part() == {"motor": 7, "other": 1}


def test_a_recursive_function_counts_once_per_stack() -> None:
    main, _ = read_stacks(LINES)

    assert main.by_function()["main (api_server/__main__.py:1)"] == 10
    assert main.by_self()["main (api_server/__main__.py:1)"] == 2


def test_a_thread_without_frames_is_counted() -> None:
    _, others = read_stacks([*LINES, "thread (0x9F) 4"])

    assert others.total == 12
    assert others.by_part()["other"] == 5
    assert others.by_self().total() == 8


def test_samples_are_scaled_to_the_cpu_time() -> None:
    main, _ = read_stacks(LINES)

    assert "| Struct conversion | 50.0       |" in tables(main, micros=100)
