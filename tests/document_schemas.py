"""Compares values with the schemas of an OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

URN = "urn:document"


def errors_in(document: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> list[str]:
    """Why a value does not fit a schema that may refer to the components of the document."""
    registry: Registry[Any] = Registry().with_resource(URN, DRAFT202012.create_resource(document))
    validator = Draft202012Validator(_absolute(schema), registry=registry)
    return [error.message for error in validator.iter_errors(value)]


def resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the document, or what it refers to. Keywords beside a reference count too."""
    while "$ref" in part:
        at: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            at = at[step]
        part = {**at, **{key: value for key, value in part.items() if key != "$ref"}}
    return part


def _absolute(schema: Any) -> Any:
    """The schema with references to the document by its name."""
    if isinstance(schema, Mapping):
        return {key: f"{URN}{value}" if key == "$ref" else _absolute(value) for key, value in schema.items()}
    return [_absolute(each) for each in schema] if isinstance(schema, list) else schema
