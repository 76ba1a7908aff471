"""How long a counter has not changed."""

from worker_service.state.silence import MAX_SECONDS_PER_TICK, Silence


def test_the_silence_grows_until_the_counter_changes() -> None:
    silence = Silence(0, now=0)
    silence.tick(0, now=1)
    silence.tick(0, now=2)
    assert silence.seconds == 2

    silence.tick(1, now=3)
    assert silence.seconds == 0


def test_time_in_which_the_process_was_stopped_hardly_counts() -> None:
    silence = Silence(0, now=0)
    silence.tick(0, now=1000)

    assert silence.seconds == MAX_SECONDS_PER_TICK
