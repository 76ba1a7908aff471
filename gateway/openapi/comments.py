"""The comments of the contract, as Markdown, and the errors that they name."""

import re
from collections.abc import Iterator, Mapping
from textwrap import dedent
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from google.rpc.code_pb2 import Code

Comments = Mapping[str, str]
"""The comment of each service, method, message, field, enum and enum value.

The key is the full name. An enum value is inside its enum here: `jobs.v1.Job.Status.queued`.
"""
FOR_TOOLS = re.compile(r"^ ?buf:lint:.*\n?", re.MULTILINE)
ERROR = re.compile(rf"^({'|'.join(Code.keys())}): ")
REASON = re.compile(r"\b[A-Z][A-Z_]{4,}\b")
INDENTED = re.compile(r"(?:^  .*\n)+", re.MULTILINE)
SETTING = re.compile(r"\(setting[^)]*\)")


class Described(NamedTuple):
    """A comment without its list of errors, and that list: the text for each name of a gRPC code."""

    text: str
    errors: Mapping[str, str]


def comments_of(descriptors: FileDescriptorSet) -> Comments:
    """The comments of all files that have source info."""
    return {name: text for file in descriptors.file for name, text in _comments_of_file(file)}


def described(comment: str) -> Described:
    """The parts of a comment. An error is a line that begins with the name of a code and a colon."""
    text: list[str] = []
    errors: dict[str, list[str]] = {}
    lines = text
    for line in comment.splitlines():
        if found := ERROR.match(line):
            lines = errors.setdefault(found[1], [])
        elif not line.strip():
            lines = text
        lines.append(ERROR.sub("", line))
    return Described("\n".join(text).strip(), {code: " ".join(each) for code, each in errors.items()})


def reasons_in(text: str) -> list[str]:
    """The stable reasons that the text of an error names, in its order."""
    found = REASON.findall(SETTING.sub("", text))
    return [each for each in dict.fromkeys(found) if each not in Code.keys()]  # noqa: SIM118 - no mapping


def markdown(text: str) -> str:
    """The text with its indented lines, such as tables, as they are in the comment."""
    return INDENTED.sub(lambda found: f"\n```text\n{dedent(found[0])}```\n", f"{text}\n").strip()


def _comments_of_file(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        comment = _cleaned(location.leading_comments)
        if comment and (name := _name_at(file, location.path)):
            yield f"{file.package}.{name}", comment


def _cleaned(comment: str) -> str:
    lines = FOR_TOOLS.sub("", comment).splitlines()
    return "\n".join(line.removeprefix(" ").rstrip() for line in lines).strip()


def _name_at(file: FileDescriptorProto, path: Any) -> str:
    """The name, without the package, of what a path of source info leads to; "" for other things."""
    names = []
    at: Any = file
    steps = list(path)
    if len(steps) % 2:
        return ""
    for number, index in zip(steps[::2], steps[1::2], strict=True):
        field = at.DESCRIPTOR.fields_by_number.get(number)
        if field is None or field.name not in _NAMED.get(type(at), ()):
            return ""
        at = getattr(at, field.name)[index]
        names.append(at.name)
    return ".".join(names)


_NAMED: Mapping[Any, tuple[str, ...]] = {
    FileDescriptorProto: ("service", "message_type", "enum_type"),
    ServiceDescriptorProto: ("method",),
    DescriptorProto: ("field", "nested_type", "enum_type"),
    EnumDescriptorProto: ("value",),
}
