"""The schemas that a worker registers."""

from collections.abc import Mapping, Sequence

import structlog

from contract_runtime.schemas import MAX_SCHEMAS_BYTES
from job_client._gen.jobs.v1.fleet_service_pb2 import HandlerSchema
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.json_schema import NoSchema, TypeSchemas, schemas_of

log = structlog.get_logger()


def handler_schemas(handlers: Mapping[str, HandlerSpec]) -> Sequence[HandlerSchema]:
    """The schemas of the handlers that declare types.

    A schema that cannot be sent is left out and logged: its handler runs all the same.
    """
    schemas = []
    size = 0
    for job_type, spec in handlers.items():
        found = _schemas(job_type, spec)
        if found == TypeSchemas():
            continue
        own = len(f"{found.payload}{found.result}".encode())
        if size + own > MAX_SCHEMAS_BYTES:
            _log_left_out(job_type, f"the schemas of all handlers have more than {MAX_SCHEMAS_BYTES} bytes")
            continue
        size += own
        schemas.append(HandlerSchema(type=job_type, payload_schema=found.payload, result_schema=found.result))
    return schemas


def _schemas(job_type: str, spec: HandlerSpec) -> TypeSchemas:
    try:
        return schemas_of(spec.function)
    except NoSchema as error:
        _log_left_out(job_type, str(error))
        return TypeSchemas()


def _log_left_out(job_type: str, problem: str) -> None:
    log.warning("schema_left_out", type=job_type, problem=problem, effect="Create does not check payloads")
