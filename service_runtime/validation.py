"""The rules that stand in the contract, applied to a message."""

import protovalidate
from google.protobuf.message import Message

from service_runtime.errors import InvalidArgument, Violation

MAX_SHOWN_VALUE = 60
"""Characters of a wrong value that an error repeats."""


class ContractValidator:
    """Checks messages against their protovalidate rules; the first check of a type compiles its rules (some ms)."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def warm(self, *message_types: type[Message]) -> None:
        """Compile the rules of these types now rather than in somebody's first call."""
        for message_type in message_types:
            self._validator.collect_violations(message_type())

    def check(self, message: Message) -> None:
        """Raise InvalidArgument with every rule that `message` breaks."""
        violations = self._validator.collect_violations(message)
        if violations:
            raise InvalidArgument([_describe(violation) for violation in violations])


def _describe(violation: protovalidate.Violation) -> Violation:
    details = violation.proto
    description = details.message or details.rule_id
    value = violation.field_value
    if isinstance(value, str | int | float):
        shown = repr(value)
        if len(shown) > MAX_SHOWN_VALUE:
            shown = shown[:MAX_SHOWN_VALUE] + "…"
        description = f"{description}, is {shown}"
    return Violation(_path(violation), details.rule_id, description)


def _path(violation: protovalidate.Violation) -> str:
    """Such as `requests[3].id` or `labels["team"]`."""
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else []:
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            key = element.subscript.value
            path += f'["{key}"]' if isinstance(key, str) else f"[{key}]"
    return path
