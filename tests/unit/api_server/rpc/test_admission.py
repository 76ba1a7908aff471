"""The requests that wait to be stored are bounded. Requests beyond the bound are refused and may be sent
again.
"""

import pytest

from api_server.domain.errors import Overloaded
from api_server.rpc.admission import Admission


def is_refused(admission: Admission, size: int) -> bool:
    try:
        with admission.admit(size) as admitted:
            assert admitted == size
            return False
    except Overloaded:
        return True


def test_it_is_full_when_the_next_request_does_not_fit() -> None:
    admission = Admission(100)
    with admission.admit(60):
        assert not is_refused(admission, 40)
        assert is_refused(admission, 41)


def test_a_request_that_ends_makes_room_even_when_it_fails() -> None:
    admission = Admission(100)
    with pytest.raises(ZeroDivisionError), admission.admit(100):
        raise ZeroDivisionError
    assert not is_refused(admission, 100)


def test_a_request_above_the_bound_is_admitted_alone() -> None:
    admission = Admission(100)
    with admission.admit(101):
        assert is_refused(admission, 1)
    with admission.admit(1):
        assert is_refused(admission, 101)
