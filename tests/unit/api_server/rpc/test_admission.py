"""What waits to be stored is bounded; who comes beyond is told to come again."""

import pytest

from api_server.domain.errors import Overloaded
from api_server.rpc.admission import Admission


def is_refused(admission: Admission, size: int) -> bool:
    try:
        with admission.taken(size):
            return False
    except Overloaded:
        return True


def test_it_is_full_when_the_next_one_does_not_fit() -> None:
    admission = Admission(100)
    with admission.taken(60):
        assert not is_refused(admission, 40)
        assert is_refused(admission, 41)


def test_there_is_room_again_when_one_has_gone_also_by_an_error() -> None:
    admission = Admission(100)
    with pytest.raises(ZeroDivisionError), admission.taken(100):
        raise ZeroDivisionError
    assert not is_refused(admission, 100)


def test_what_is_larger_than_all_room_is_served_alone() -> None:
    admission = Admission(100)
    with admission.taken(101):
        assert is_refused(admission, 1)
    with admission.taken(1):
        assert is_refused(admission, 101)
