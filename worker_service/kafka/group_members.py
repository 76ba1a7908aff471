"""Removes a worker's dead predecessor from the consumer group, so nobody waits for its session to end."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError, NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest

log = structlog.get_logger()

REMOVE_SECONDS = 2.0
AGAIN_SECONDS = 0.1


async def remove_members(bootstrap_servers: Sequence[str], group_id: str, client_id: str) -> None:
    """Remove the members of this `client_id`, within REMOVE_SECONDS. The caller must not have joined yet.

    A failure is only logged: Kafka itself removes dead members some seconds later.
    """
    client = AIOKafkaClient(bootstrap_servers=list(bootstrap_servers), client_id=client_id)
    try:
        async with asyncio.timeout(REMOVE_SECONDS):
            await client.bootstrap()
            removed = await _remove_when_possible(client, group_id, client_id)
    except Exception as error:  # noqa: BLE001 - a worker can do without the removal, whatever has failed
        log.warning("dead_members_not_removed", problem=repr(error))
    else:
        if removed:
            log.info("dead_members_removed", members=removed)
    finally:
        await client.close()


async def _remove_when_possible(client: AIOKafkaClient, group_id: str, client_id: str) -> list[str]:
    """Repeats, because the group's coordinator may be unknown yet or may have just moved.

    Raises KafkaError.
    """
    while True:
        try:
            return await _remove(client, group_id, client_id)
        except KafkaError as error:
            if not error.retriable:
                raise
        await asyncio.sleep(AGAIN_SECONDS)


async def _remove(client: AIOKafkaClient, group_id: str, client_id: str) -> list[str]:
    """Returns the ids of the removed members. Raises KafkaError."""
    coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group_id)
    answer = await client.send(coordinator, DescribeGroupsRequest([group_id]))
    [(error_code, _group, _state, _protocol_type, _protocol, members, *_)] = answer.groups
    _raise_for(error_code)
    dead = [member_id for member_id, member_client_id, *_ in members if member_client_id == client_id]
    for member_id in dead:
        left = await client.send(coordinator, LeaveGroupRequest(group_id, member_id))
        _raise_for(left.error_code, allowed=UnknownMemberIdError)
    return dead


def _raise_for(error_code: int, allowed: type[Exception] = NoError) -> None:
    error = for_code(error_code)
    if error not in (NoError, allowed):
        raise error
