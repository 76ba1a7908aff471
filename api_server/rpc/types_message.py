"""Converts the list of job types to the contract's message."""

from collections.abc import Sequence

from api_server.domain.job_type import TypeState
from job_client._gen.jobs.v1.job_types_pb2 import JobType, ListTypesResponse

MAX_NAMES = 20
"""How many workers of each type are named."""


def types_message(states: Sequence[TypeState]) -> ListTypesResponse:
    return ListTypesResponse(types=map(_type, states))


def _type(state: TypeState) -> JobType:
    return JobType(
        type=state.type,
        accepted=state.accepted,
        live_workers=len(state.worker_names),
        worker_names=state.worker_names[:MAX_NAMES],
        stopped=state.stopped,
        waiting=state.waiting.count,
        waiting_capped=state.waiting.is_capped,
    )
