"""Converts the list of job types to the contract's message."""

from collections.abc import Callable, Sequence

from api_server.domain.handler_schema import HandlerSchema
from api_server.domain.job_type import TypeState
from api_server.domain.schema_choice import SchemaChoice
from contract_runtime.structs import StructError, fill_struct
from job_client._gen.jobs.v1.job_types_pb2 import JobType, ListTypesResponse

MAX_NAMES = 20
"""How many workers of each type are named."""
MAX_SCHEMAS = 1024 * 1024
"""Characters of all schemas in one answer."""
LEFT_OUT = "the schemas of this type do not fit into the answer with those of the other types"


def types_message(states: Sequence[TypeState], schema_of: Callable[[str], SchemaChoice]) -> ListTypesResponse:
    """`schema_of`: what counts for a type."""
    response = ListTypesResponse()
    size = 0
    for state in states:
        message = response.types.add()
        message.MergeFrom(_type(state))
        choice = schema_of(state.type)
        message.schema_problem = choice.problem
        if choice.schema is None:
            continue
        if size + choice.schema.size > MAX_SCHEMAS:
            message.schema_problem = LEFT_OUT
            continue
        size += choice.schema.size
        _fill_schemas(message, choice.schema)
    return response


def _fill_schemas(message: JobType, schema: HandlerSchema) -> None:
    try:
        if schema.payload_text:
            fill_struct(message.payload_schema, schema.payload)
        if schema.result_text:
            fill_struct(message.result_schema, schema.result)
    except StructError as error:
        # It was checked before it was stored.
        message.schema_problem = f"the schema cannot be shown: {error}"


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
