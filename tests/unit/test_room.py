"""What waits to be stored is bounded; who comes beyond is told to come again."""

import pytest

from api_server.domain.errors import Overloaded
from api_server.rpc.room import Room


def is_refused(room: Room, size: int) -> bool:
    try:
        with room.taken(size):
            return False
    except Overloaded:
        return True


def test_it_is_full_when_the_next_one_does_not_fit() -> None:
    room = Room(100)
    with room.taken(60):
        assert not is_refused(room, 40)
        assert is_refused(room, 41)


def test_there_is_room_again_when_one_has_gone_also_by_an_error() -> None:
    room = Room(100)
    with pytest.raises(ZeroDivisionError), room.taken(100):
        raise ZeroDivisionError
    assert not is_refused(room, 100)


def test_what_is_larger_than_all_room_is_served_alone() -> None:
    room = Room(100)
    with room.taken(101):
        assert is_refused(room, 1)
    with room.taken(1):
        assert is_refused(room, 101)
