"""Any input to any method gets a correct answer, leaves no incomplete job, and does not stop the server.

`World.play` checks this. To repeat a failure, set FUZZ_SEED to the printed seed or use hypothesis's
@reproduce_failure.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.calls import FLEET_CHANGES, METHODS, Call
from tests.fuzz.native import native_calls
from tests.fuzz.routes import ROUTES, rest_calls
from tests.fuzz.settings import FUZZ
from tests.fuzz.world import World

pytestmark = pytest.mark.timeout(3600)


def weighted(method: MethodDescriptor) -> range:
    """A method with many fields is tried more often."""
    return range(1 + len(method.input_type.fields))


def changes_fleet(method: MethodDescriptor) -> bool:
    return method.name in FLEET_CHANGES


native = st.one_of(
    [native_calls(method) for method in METHODS if not changes_fleet(method) for _ in weighted(method)]
)
rest = st.one_of(
    [rest_calls(route) for route in ROUTES if not changes_fleet(route.method) for _ in weighted(route.method)]
)
fleet_changes = st.one_of(
    *(native_calls(method) for method in METHODS if changes_fleet(method)),
    *(rest_calls(route) for route in ROUTES if changes_fleet(route.method)),
)


def fuzzed(share: float) -> Callable[[Any], Any]:
    """Run a test with this share of all inputs."""
    fuzz_settings = settings(
        max_examples=max(10, round(share * FUZZ.inputs)),
        phases=[Phase.reuse, Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    return lambda test: seed(FUZZ.seed)(fuzz_settings(test))


@fuzzed(0.45)
@given(call=native)
async def test_native_calls(world: World, call: Call) -> None:
    assume(not world.counts.knows(call))
    await world.play([call])


@fuzzed(0.45)
@given(call=rest)
async def test_rest_calls(world: World, call: Call) -> None:
    assume(not world.counts.knows(call))
    await world.play([call])


@fuzzed(0.04)
@given(calls=st.lists(native | rest, min_size=2, max_size=10))
async def test_concurrent_calls(world: World, calls: Sequence[Call]) -> None:
    await world.play(calls)


@fuzzed(0.02)
@given(call=fleet_changes)
async def test_calls_that_stop_and_start_the_fleet(world: World, call: Call) -> None:
    await world.play([call])
