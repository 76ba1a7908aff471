"""The protovalidate rules of a field as keywords of JSON Schema.

What JSON Schema cannot say is left to the descriptions: rules in CEL, except for a regular expression and a
list of enum values, and the range of a duration. Any other unknown rule is an error, so that none is lost.
"""

import re
from collections.abc import Container
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from job_client._gen.jobs._validate import validate_pb2

Json = dict[str, Any]
MATCHES = re.compile(r"this\.matches\((?P<raw>r?)'(?P<pattern>.*)'\)", re.DOTALL)
IN = re.compile(r"this in \[(?P<numbers>[0-9, ]+)\]")
_PLAIN = {
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "const": "const",
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique": "uniqueItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
}
_FORMATS = {"uuid": "uuid", "email": "email", "hostname": "hostname", "uri": "uri"}


def rules_of(field: FieldDescriptor) -> Any:
    """The field's rules, a buf.validate.FieldRules."""
    return field.GetOptions().Extensions[validate_pb2.field]


def messages_of(message: Descriptor) -> list[str]:
    """What the rules of the whole message say, for people."""
    return [rule.message for rule in message.GetOptions().Extensions[validate_pb2.message].cel]


def is_skipped_if_empty(rules: Any) -> bool:
    """Whether an empty value is allowed although the rules do not fit it."""
    return bool(rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE)


def keywords(field: FieldDescriptor, rules: Any) -> Json:
    """The keywords for a value of the field; for one item, `rules` are those of the items.

    Raises ValueError for a rule that has no keyword.
    """
    if rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return {}
    kind = rules.WhichOneof("type")
    found: Json = {}
    if kind == "duration":
        found = _duration(rules.duration)
    elif kind == "enum":
        found = _enum(field, rules.enum)
    elif kind:
        found = _plain(field, getattr(rules, kind))
    for rule in rules.cel:
        if matched := MATCHES.fullmatch(rule.expression):
            pattern = matched["pattern"]
            found["pattern"] = pattern if matched["raw"] else pattern.replace("\\\\", "\\")
        elif listed := IN.fullmatch(rule.expression):
            numbers = {int(number) for number in listed["numbers"].split(",")}
            found["enum"] = [value.name for value in _values(field) if value.number in numbers]
    return found


def _plain(field: FieldDescriptor, rules: Any) -> Json:
    found: Json = {}
    for rule, value in rules.ListFields():
        if rule.name in _PLAIN:
            found[_PLAIN[rule.name]] = value
        elif rule.name in _FORMATS:
            found["format"] = _FORMATS[rule.name]
        elif rule.name not in ("items", "keys", "values", "finite"):
            # A value of JSON is always finite.
            raise ValueError(f"{field.full_name}: the rule {rule.name} has no keyword in JSON Schema")
    return found


def _enum(field: FieldDescriptor, rules: Any) -> Json:
    every = _values(field)
    allowed = getattr(rules, "in") or [value.number for value in every]
    names = [value.name for value in every if value.number in allowed and value.number not in rules.not_in]
    return {"enum": names} if len(names) < len(every) else {}


def _duration(rules: Any) -> Json:
    """A duration is text in JSON: a pattern has its sign and its size, keywords of our own have its range."""
    found: Json = {}
    if rules.HasField("gte"):
        found["x-minimum"] = rules.gte.ToJsonString()
    if rules.HasField("lte"):
        found["x-maximum"] = rules.lte.ToJsonString()
    if "x-maximum" in found and not found.get("x-minimum", "-").startswith("-"):
        found["pattern"] = rf"^[0-9]{{1,{len(str(rules.lte.seconds))}}}(\.[0-9]{{1,9}})?s$"
    return found


def is_required(field: FieldDescriptor, rules: Any, required_in_code: Container[str]) -> bool:
    """Whether a request must have the field: it breaks a rule if it is absent."""
    if rules.required or field.full_name in required_in_code:
        return True
    if field.has_presence or rules.ignore != validate_pb2.IGNORE_UNSPECIFIED:
        return False
    found = keywords(field, rules)
    if field.is_repeated:
        return bool(found.get("minItems") or found.get("minProperties"))
    if field.enum_type:
        return bool("enum" in found and _values(field)[0].name not in found["enum"])
    is_text = field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    if is_text:
        fits_empty = not found.get("minLength") and re.search(found.get("pattern", ""), "")
        return "format" in found or not fits_empty
    return not _allows_zero(found)


def _allows_zero(found: Json) -> bool:
    """Whether 0 or false fits the keywords."""
    return (
        found.get("minimum", 0) <= 0 <= found.get("maximum", 0)
        and found.get("exclusiveMinimum", -1) < 0 < found.get("exclusiveMaximum", 1)
        and not found.get("const", 0)
    )


def _values(field: FieldDescriptor) -> list[Any]:
    """The values of the field's enum. That of the number 0 comes first."""
    return list(field.enum_type.values) if field.enum_type else []
