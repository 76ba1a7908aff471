"""What the servers accept though the API document does not say so, each with its reason.

- A `null` is an absent field, and an empty parameter is an absent one, as in proto3's JSON mapping.
- So are an enum's number for its name, an integer as text or as 3.0, and a field's name in the contract's
  spelling. Clients should not rely on them, so the document leaves them out.
- Blanks around the items of a query are not looked at: Envoy parses the numbers in it.
"""

from collections.abc import Mapping
from typing import Any

from tests.document_schemas import errors_in, resolved

Json = Any


class Lenient:
    """Says whether a value fits a schema of the document, once it is written as the document wants it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def fits(self, schema: Mapping[str, Any], value: Json, *, is_text: bool = False) -> bool:
        """`is_text`: the value comes from a path or a query."""
        return not errors_in(self._document, schema, self._usual(schema, value, is_text=is_text))

    def _usual(self, schema: Mapping[str, Any], value: Json, *, is_text: bool) -> Json:
        schema = resolved(self._document, schema)
        kind = schema.get("type")
        if kind == "object" and isinstance(value, dict):
            return self._usual_object(schema, value)
        if kind == "array":
            items = value if isinstance(value, list) else [value] if is_text else None
            if items is not None:
                return [self._usual(schema["items"], item, is_text=is_text) for item in items]
        if "enum" in schema and isinstance(value, int | str) and str(value).lstrip("-").isdigit():
            # Whether the number has a name is for the rule of the field, in its words.
            return schema["enum"][0]
        if kind in ("integer", "number") and isinstance(value, str):
            return _number(value)
        if kind == "boolean" and is_text:
            return {"true": True, "false": False}.get(str(value), value)
        return value

    def _usual_object(self, schema: Mapping[str, Any], value: dict[str, Any]) -> Json:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        usual = {}
        for key, item in value.items():
            name = _camel(key) if _camel(key) in properties else key
            if name in properties:
                if item is not None:
                    usual[name] = self._usual(properties[name], item, is_text=False)
            else:
                usual[name] = self._usual(others, item, is_text=False) if isinstance(others, dict) else item
        return usual


def _number(text: str) -> Json:
    try:
        return float(text)
    except ValueError:
        return text


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
