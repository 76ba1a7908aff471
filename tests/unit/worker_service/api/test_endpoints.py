"""Which API server is called next."""

from tests.unit.worker_service.worker_fakes import Clock
from worker_service.api.client import AVOID_SECONDS, Endpoints


def test_endpoints_take_turns() -> None:
    endpoints = Endpoints(3, Clock())

    assert [endpoints.pick() for _ in range(4)] == [0, 1, 2, 0]


def test_a_failed_endpoint_is_avoided_for_a_while() -> None:
    clock = Clock()
    endpoints = Endpoints(2, clock)
    endpoints.avoid(0)

    assert [endpoints.pick() for _ in range(3)] == [1, 1, 1]

    clock.now += AVOID_SECONDS
    assert {endpoints.pick(), endpoints.pick()} == {0, 1}


def test_the_endpoint_that_failed_first_is_tried_when_all_have_failed() -> None:
    clock = Clock()
    endpoints = Endpoints(2, clock)
    endpoints.avoid(1)
    clock.now += 1
    endpoints.avoid(0)

    assert endpoints.pick() == 1


def test_an_endpoint_that_answers_is_no_longer_avoided() -> None:
    endpoints = Endpoints(2, Clock())
    endpoints.avoid(0)
    endpoints.trust(0)

    assert {endpoints.pick(), endpoints.pick()} == {0, 1}
