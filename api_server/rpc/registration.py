"""Converts a worker's registration: who it is, and the schemas of its handlers."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from api_server.domain.fleet import WorkerIdentity
from api_server.domain.handler_schema import HandlerSchema
from contract_runtime.errors import InvalidArgument, invalid
from contract_runtime.schemas import MAX_SCHEMAS_BYTES
from contract_runtime.structs import StructError, dict_to_struct
from job_client._gen.jobs.v1 import worker_pb2
from job_client._gen.jobs.v1.fleet_service_pb2 import RegisterWorkerRequest


def handler_schemas(request: RegisterWorkerRequest) -> Sequence[HandlerSchema]:
    """Raises InvalidArgument."""
    size = sum(len(f"{each.payload_schema}{each.result_schema}".encode()) for each in request.schemas)
    if size > MAX_SCHEMAS_BYTES:
        rule = f"must be at most {MAX_SCHEMAS_BYTES} bytes in all, are {size}"
        raise invalid("schemas", "schemas.max_bytes", rule)
    seen: set[str] = set()
    schemas = []
    for index, each in enumerate(request.schemas):
        field = f"schemas[{index}]"
        if each.type in seen or each.type not in request.worker.types:
            rule = "must be one of the worker's types, and occur only once"
            raise invalid(f"{field}.type", "schemas.type", f"{rule}, is {each.type!r}")
        seen.add(each.type)
        _check(each.payload_schema, f"{field}.payload_schema")
        _check(each.result_schema, f"{field}.result_schema")
        if each.payload_schema or each.result_schema:
            schemas.append(HandlerSchema(each.type, each.payload_schema, each.result_schema))
    return schemas


def worker_identity(
    identity: worker_pb2.WorkerIdentity, schemas: Sequence[HandlerSchema] = ()
) -> WorkerIdentity:
    """Raises InvalidArgument."""
    if identity.worker_id.rpartition("/")[0] != identity.name:
        # Otherwise a worker could register the id of another one under a name of its own.
        rule = f"must be the name and an incarnation, as in {identity.name}/1, is {identity.worker_id!r}"
        raise invalid("worker.worker_id", "worker_id.name", rule)
    return WorkerIdentity(
        identity.worker_id,
        identity.name,
        identity.host,
        identity.pid,
        tuple(identity.types),
        {each.type: each.id for each in schemas},
        _start_time(identity),
        identity.version,
    )


def _start_time(identity: worker_pb2.WorkerIdentity) -> datetime | None:
    """To the millisecond, as it is stored."""
    if not identity.HasField("start_time"):
        return None
    try:
        time: datetime = identity.start_time.ToDatetime(UTC)
    except (OverflowError, ValueError):
        raise invalid("worker.start_time", "timestamp", "must be from year 1 to year 9999") from None
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _check(text: str, field: str) -> None:
    if not text:
        return
    try:
        schema = json.loads(text, parse_constant=_refuse)
        if not isinstance(schema, dict):
            raise _wrong(field, "must be a JSON object")
        # It is shown to readers in this form.
        dict_to_struct(schema)
    except StructError as error:
        raise _wrong(field, str(error)) from None
    except (ValueError, RecursionError):
        raise _wrong(field, "must be JSON of at most 32 levels") from None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _wrong(field: str, problem: str) -> InvalidArgument:
    return invalid(field, "schemas.json", problem)
