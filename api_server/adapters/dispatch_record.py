"""A dispatch as the value of a Kafka record (proto/jobs/v1/dispatch.proto)."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from api_server.domain.job import Dispatch
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES, least_bytes
from jobs.v1.dispatch_pb2 import DispatchRecord
from service_runtime.structs import StructError, dict_to_struct


def encode(dispatch: Dispatch) -> bytes:
    """The record's value. Payloads above MAX_TRAVELLING_BYTES are left out."""
    payload = None if dispatch.payload is None else _travelling(dispatch.payload)
    record = DispatchRecord(
        id=str(dispatch.job_id),
        type=dispatch.type,
        attempt=dispatch.attempt,
        payload=payload,
        losses=dispatch.losses,
    )
    if payload is None:
        record.payload_omitted = True
    if dispatch.timeout is not None:
        record.timeout.FromTimedelta(dispatch.timeout)
    return record.SerializeToString()


def _travelling(payload: Mapping[str, Any]) -> Struct | None:
    if least_bytes(payload) > MAX_TRAVELLING_BYTES:  # Cheap: spares building a large Struct only to drop it.
        return None
    try:
        struct = dict_to_struct(dict(payload))
    except StructError:
        # Not as the service stores payloads, so somebody changed the database by hand. The job must not hold up the
        # others: its worker asks for the payload and is told what is wrong with it.
        return None
    return struct if struct.ByteSize() <= MAX_TRAVELLING_BYTES else None
