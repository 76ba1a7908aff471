"""Payloads from the caller's types: dict and other mappings, dataclasses, TypedDicts, pydantic models. Pure.

pydantic is needed only by callers who use its models.
"""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from job_client.fields import wrong_type

WANTED = "an object: a dict, a dataclass or a pydantic model"


def plain_payload(payload: Any) -> Mapping[str, Any]:
    """The payload as a mapping of plain data. Raises InvalidArgument."""
    if isinstance(payload, Mapping):
        return payload
    if is_model(type(payload)):
        dumped: Any = payload.model_dump(mode="json", by_alias=True)
        if isinstance(dumped, Mapping):
            return dumped
    if is_dataclass(type(payload)):
        return {field.name: _plain(getattr(payload, field.name)) for field in dataclasses.fields(payload)}
    if isinstance(payload, str):
        raise wrong_type(
            "payload", "an object: a dict, a dataclass or a pydantic model (json.loads reads JSON)", payload
        )
    raise wrong_type("payload", "an object: a dict, a dataclass or a pydantic model", payload)


def _plain(value: Any) -> Any:
    """Dataclasses and models inside a dataclass become mappings, too."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if is_model(type(value)) or is_dataclass(type(value)):
        return plain_payload(value)
    return value


def is_model(kind: Any) -> bool:
    """Whether it is a class of pydantic models, without importing pydantic."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump")


def is_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)
