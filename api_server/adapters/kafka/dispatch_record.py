"""A dispatch as the value of a Kafka record (proto/jobs/v1/dispatch.proto)."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from api_server.domain.job import Dispatch
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES
from contract_runtime.structs import StructError, fill_struct
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord


def encode(dispatch: Dispatch) -> bytes:
    """The record's value. Payloads above MAX_TRAVELLING_BYTES are left out."""
    record = DispatchRecord()
    record.id = str(dispatch.job_id)
    record.type = dispatch.type
    record.attempt = dispatch.attempt
    record.losses = dispatch.losses
    record.max_attempts = dispatch.max_attempts
    if dispatch.labels:
        record.labels.update(dispatch.labels)
    if dispatch.timeout is not None:
        record.timeout.FromTimedelta(dispatch.timeout)
    if dispatch.payload is None or not _fill(record.payload, dispatch.payload):
        record.payload_omitted = True
    return record.SerializeToString()


def _fill(struct: Struct, payload: Mapping[str, Any]) -> bool:
    """Put the payload into the record. Returns False if the payload is too large, or is not JSON."""
    try:
        return fill_struct(struct, payload) <= MAX_TRAVELLING_BYTES
    except StructError:
        # The service stores no such payload: somebody has changed the document in the database. This job must
        # not delay the others. Its worker asks for the payload, and gets the error.
        return False
