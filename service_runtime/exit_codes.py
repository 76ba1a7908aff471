"""How a process ended, in words."""

import signal


def how_it_ended(exit_code: int | None) -> str:
    """For the exit code as Python gives it: negative for a signal, None if nobody saw it."""
    if exit_code is None:
        return "nobody saw how"
    return (
        f"exit status {exit_code}"
        if exit_code >= 0
        else f"signal {-exit_code}, {signal.strsignal(-exit_code)}"
    )
