"""Describes how a process ended."""

import signal


def how_it_ended(exit_code: int | None) -> str:
    """A description of the exit code as Python reports it: negative for a signal, None if it is unknown."""
    if exit_code is None:
        return "exit status unknown"
    return (
        f"exit status {exit_code}"
        if exit_code >= 0
        else f"signal {-exit_code}, {signal.strsignal(-exit_code)}"
    )
