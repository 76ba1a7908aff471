"""The types of a handler as JSON Schema, for those who create its jobs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from contract_runtime.schemas import MAX_SCHEMA_BYTES
from contract_runtime.structs import MAX_EXACT_INTEGER, StructError, dict_to_struct
from worker_service.handler_api.signature import read_signature
from worker_service.handler_api.typed_call import adapter_of


class NoSchema(ValueError):
    """A type has no usable JSON Schema. The text says why."""


@dataclass(frozen=True, slots=True)
class TypeSchemas:
    """JSON text; "": the handler declares nothing."""

    payload: str = ""
    result: str = ""


def schemas_of(function: Callable[..., Any]) -> TypeSchemas:
    """Raises WrongSignature and NoSchema."""
    signature = read_signature(function)
    return TypeSchemas(
        _schema(signature.payload_type, "validation"), _schema(signature.result_type, "serialization")
    )


def _schema(kind: Any, mode: Literal["validation", "serialization"]) -> str:
    if kind is None:
        return ""
    try:
        schema = _exact(adapter_of(kind).json_schema(mode=mode))
        # Its numbers and its depth must be those of a JSON object of the contract.
        dict_to_struct(schema)
    except StructError as error:
        raise NoSchema(f"the JSON Schema of {kind} cannot be sent: {error}") from None
    except Exception as error:
        raise NoSchema(f"{kind} has no JSON Schema: {error}") from error
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    if (size := len(text.encode())) > MAX_SCHEMA_BYTES:
        raise NoSchema(f"the JSON Schema of {kind} has {size} bytes, more than {MAX_SCHEMA_BYTES}")
    return text


def _exact(part: Any) -> Any:
    """The same schema, with whole numbers that a double cannot hold as the nearest double."""
    match part:
        case dict():
            return {key: _exact(value) for key, value in part.items()}
        case list():
            return [_exact(value) for value in part]
        case int() if abs(part) > MAX_EXACT_INTEGER:
            return float(part)
        case _:
            return part
