"""The messages of the contract as schemas, by the rules of proto3's JSON mapping.

A request and a response differ. A request has no unknown fields, and some fields are required. In a response,
all fields are present that the gateway prints even if they are empty.
"""

from collections.abc import Container, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.openapi import rules as field_rules
from gateway.openapi.comments import Comments

Json = dict[str, Any]
DURATION = r"^-?[0-9]{1,11}(\.[0-9]{1,9})?s$"
WELL_KNOWN: Mapping[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": DURATION},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
    # The gateway sends its data as they are; they are a JSON object in the only answer of this kind.
    "google.api.HttpBody": {"type": "object"},
}
_T = FieldDescriptor
_INT32: Json = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32: Json = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}
_INT64: Json = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
_UINT64: Json = {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
_SCALARS: Mapping[int, Json] = {
    **dict.fromkeys((_T.TYPE_INT32, _T.TYPE_SINT32, _T.TYPE_SFIXED32), _INT32),
    **dict.fromkeys((_T.TYPE_UINT32, _T.TYPE_FIXED32), _UINT32),
    **dict.fromkeys((_T.TYPE_INT64, _T.TYPE_SINT64, _T.TYPE_SFIXED64), _INT64),
    **dict.fromkeys((_T.TYPE_UINT64, _T.TYPE_FIXED64), _UINT64),
    _T.TYPE_STRING: {"type": "string"},
    _T.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _T.TYPE_BOOL: {"type": "boolean"},
    _T.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _T.TYPE_FLOAT: {"type": "number", "format": "float"},
}


class Schemas:
    """Makes schemas, and keeps those that others refer to as components.

    `renamed`: messages that are a component under another name, which somebody else defines. `hidden`: the
    full names of fields that no schema has. `required_in_code`: those of fields that a request must have
    though no rule says so.
    """

    def __init__(
        self,
        comments: Comments,
        renamed: Mapping[str, str],
        hidden: Container[str] = (),
        required_in_code: Container[str] = (),
    ) -> None:
        self.components: dict[str, Json] = {}
        self._comments = comments
        self._renamed = renamed
        self.hidden = hidden
        self._required_in_code = required_in_code

    def response(self, message: Descriptor) -> Json:
        """The schema of a message in a response: a reference to a component."""
        return self._component(message, is_request=False)

    def body(self, message: Descriptor, without: Container[str] = ()) -> Json:
        """The schema of a body. `without`: fields that are in the path."""
        return self._component(message, is_request=True, without=without)

    def request_field(self, field: FieldDescriptor) -> Json:
        """The schema of a field that is in the path or the query."""
        return self._field(field, is_request=True)

    def response_field(self, field: FieldDescriptor) -> Json:
        return self._field(field, is_request=False)

    def is_required(self, field: FieldDescriptor) -> bool:
        return field_rules.is_required(field, field_rules.rules_of(field), self._required_in_code)

    def _component(self, message: Descriptor, *, is_request: bool, without: Container[str] = ()) -> Json:
        if name := self._renamed.get(message.full_name):
            return reference(name)
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        name = _component_name(message)
        if without:
            name = name.removesuffix("Request") + "Body"
        elif is_request and not message.name.endswith("Request"):
            # A response may have the same message, with other fields required.
            name += "Input"
        if name not in self.components:
            # A message may contain itself.
            self.components[name] = {}
            self.components[name] = self._object(message, is_request=is_request, without=without)
        return reference(name)

    def _object(self, message: Descriptor, *, is_request: bool, without: Container[str]) -> Json:
        hidden = {field.full_name for field in message.fields if field.name in without}
        fields = [f for f in message.fields if f.full_name not in hidden and f.full_name not in self.hidden]
        schema: Json = {"type": "object"}
        sentences = [self._comments.get(message.full_name, "")]
        if is_request:
            sentences += [f"Rule: {text}." for text in field_rules.messages_of(message)]
        if description := "\n\n".join(filter(None, sentences)):
            schema["description"] = description
        schema["properties"] = {
            field.json_name: self._field(field, is_request=is_request) for field in fields
        }
        is_present = self.is_required if is_request else _is_always_printed
        if required := [field.json_name for field in fields if is_present(field)]:
            schema["required"] = required
        if is_request:
            schema["additionalProperties"] = False
            schema.update(_one_of_each_oneof(message))
        return schema

    def _field(self, field: FieldDescriptor, *, is_request: bool) -> Json:
        rules = field_rules.rules_of(field)
        entry = field.message_type
        if entry and entry.GetOptions().map_entry:
            schema = self._map(field, entry, rules, is_request=is_request)
        elif field.is_repeated:
            items = self._value(field, rules.repeated.items, is_request=is_request)
            schema = {"type": "array", "items": items, **field_rules.keywords(field, rules)}
        else:
            schema = self._value(field, rules, is_request=is_request)
        if comment := self._comments.get(field.full_name):
            # An enum that is written out has a description of its own, of its values.
            values = schema.get("description")
            schema["description"] = f"{comment}\n\n{values}" if values else comment
        return schema

    def _map(self, field: FieldDescriptor, entry: Descriptor, rules: Any, *, is_request: bool) -> Json:
        key, value = (entry.fields_by_name[name] for name in ("key", "value"))
        schema: Json = {"type": "object", **field_rules.keywords(field, rules)}
        if keys := field_rules.keywords(key, rules.map.keys):
            schema["propertyNames"] = keys
        schema["additionalProperties"] = self._value(value, rules.map.values, is_request=is_request)
        return schema

    def _value(self, field: FieldDescriptor, rules: Any, *, is_request: bool) -> Json:
        """The schema of one value, without the comment of the field."""
        # A response may have the empty value that the rules do not fit.
        is_skipped = not is_request and field_rules.is_skipped_if_empty(rules)
        keywords = {} if is_skipped else field_rules.keywords(field, rules)
        if field.enum_type:
            if names := keywords.get("enum"):
                return self._enum(field.enum_type, names)
            return self._enum_component(field.enum_type)
        if not field.message_type:
            return {**_SCALARS[field.type], **keywords}
        schema = self._component(field.message_type, is_request=is_request)
        return {**schema, **keywords}

    def _enum_component(self, enum: EnumDescriptor) -> Json:
        name = _component_name(enum)
        if name not in self.components:
            self.components[name] = self._enum(enum, [value.name for value in enum.values])
            if comment := self._comments.get(enum.full_name):
                values = self.components[name]["description"]
                self.components[name]["description"] = f"{comment}\n\n{values}"
        return reference(name)

    def _enum(self, enum: EnumDescriptor, names: list[str]) -> Json:
        lines = [_line(name, self._comments.get(f"{enum.full_name}.{name}", "")) for name in names]
        return {"type": "string", "enum": names, "description": "\n".join(lines)}


def reference(component: str) -> Json:
    return {"$ref": f"#/components/schemas/{component}"}


def _component_name(described: Descriptor | EnumDescriptor) -> str:
    return described.full_name.removeprefix(f"{described.file.package}.")


def _line(name: str, comment: str) -> str:
    text = " ".join(comment.split())
    return f"- `{name}`: {text}" if text else f"- `{name}`"


def _is_always_printed(field: FieldDescriptor) -> bool:
    """Whether the gateway prints the field even if it is empty."""
    return not field.has_presence


def _one_of_each_oneof(message: Descriptor) -> Json:
    """At most one field of each oneof may be set. An optional field has a oneof of its own."""
    clashes = [
        {"not": {"required": [first.json_name, second.json_name]}}
        for oneof in message.oneofs
        for at, first in enumerate(oneof.fields)
        for second in oneof.fields[at + 1 :]
    ]
    return {"allOf": clashes} if clashes else {}
