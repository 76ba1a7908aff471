"""When a job is tried again after its handler failed. Pure."""

import math
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How failures are retried. Names and defaults are the contract's."""

    max_attempts: int = 3
    initial_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = timedelta(minutes=5)
    multiplier: float = 2.0
    jitter: float = 0.2


DEFAULT_POLICY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a job has failed, and its retry policy."""

    failures: int = 0
    policy: RetryPolicy = DEFAULT_POLICY


UNTRIED = Tries()


@dataclass(frozen=True, slots=True)
class FailureHint:
    """What a handler knows about another try.

    `permanent`: it would fail again. `retry_after`: how long to wait, instead of the policy's backoff.
    """

    permanent: bool = False
    retry_after: timedelta | None = None


def wait_before_next_try(tries: Tries, hint: FailureHint, chance: float) -> timedelta | None:
    """How long to wait after one more failure; None: that was the last try. `chance`: see `backoff`."""
    failures = tries.failures + 1
    if hint.permanent or failures >= tries.policy.max_attempts:
        return None
    if hint.retry_after is not None:
        return hint.retry_after
    return backoff(tries.policy, failures, chance)


def backoff(policy: RetryPolicy, failures: int, chance: float) -> timedelta:
    """The wait after the failure with the number `failures`, counted from 1.

    `chance`: 0 to 1, selects the point within the jitter.
    """
    wait = min(policy.initial_backoff, policy.max_backoff)
    if wait and policy.multiplier > 1:
        # Compare exponents first: the power may be too large for a float.
        exponent_of_longest = math.log(policy.max_backoff / wait, policy.multiplier)
        exponent = failures - 1
        wait = (
            policy.max_backoff
            if exponent >= exponent_of_longest
            else min(wait * policy.multiplier**exponent, policy.max_backoff)
        )
    return wait * (1 - policy.jitter + 2 * policy.jitter * chance)
