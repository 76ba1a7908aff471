"""How long a worker waits before it repeats a call."""

from worker_service.api.backoff import Backoff


def test_waits_double_up_to_the_longest_and_start_again_after_a_reset() -> None:
    backoff = Backoff(first=1, longest=5, randomness=lambda: 0.0)

    assert [backoff.next() for _ in range(4)] == [1, 2, 4, 5]
    backoff.reset()
    assert backoff.next() == 1


def test_a_wait_is_shortened_at_random_by_half_at_most() -> None:
    assert Backoff(first=1, randomness=lambda: 1.0).next() == 0.5
