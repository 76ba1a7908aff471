"""REST requests to the routes of the contract's google.api.http annotations, and to paths near them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.fuzz.calls import METHODS, RestCall
from tests.fuzz.json_text import Node, Object, bodies, tree
from tests.fuzz.messages import messages
from tests.fuzz.roles import REAL_SURROGATE, SURROGATE
from tests.fuzz.texts import pick

_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Route:
    """A route of a method. `has_body`: fields that are not in the path are in the body, not in the query."""

    method: MethodDescriptor
    verb: str
    template: str
    has_body: bool


def _routes() -> Iterator[Route]:
    for method in METHODS:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            pattern = each.WhichOneof("pattern")
            if pattern:
                yield Route(method, pattern.upper(), getattr(each, pattern), each.body == "*")


ROUTES = tuple(_routes())

VERBS = ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO")
PATH_DAMAGES = (
    "/",
    "//",
    "/.",
    "/..",
    "/x",
    "%2F",
    "%2e%2e/",
    "%00",
    "%0d%0ax:y",
    "%ED%A0%80",
    "%ff",
    "%",
    "%zz",
    ";a=b",
    ":",
    ":cancel",
    ":cancel:cancel",
    ":Cancel",
    ":nope",
    ":cancel/",
    "?",
    "??",
    "#a",
    "\\",
    "'\"<>|",
    "a" * 3000,
)
ODD_QUERIES = (
    "nope=1",
    "=",
    "&&&",
    "id=x",
    "payload.input=x",
    "payload=%7B%7D",
    "labels=a%3D1&labels=a%3D2",
    "labels[a]=b",
    "claim.worker_id=fuzz/1",
    "page_size=1&pageSize=2",
    "pageSize=1&pageSize=2",
    "pageSize=1e400",
    "pageSize=99999999999999999999",
    "pageSize=%00",
    "status=3",
    "status=99",
    "status=COMPLETED",
    "createTimeFrom=2026-01-01T00:00:00%2B99:99",
    "pageToken=%ED%A0%80",
    "type=%00",
    "a" * 3000,
    "%",
    "x=%ff",
)
CONTENT_TYPES = (
    b"application/json",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"application/grpc",
    b"application/grpc-web",
    b"application/grpc+json",
    b"multipart/form-data; boundary=x",
    b"",
    b"\xff",
)
KEYS = (
    b"k",
    b"k",
    b"l",
    b"x" * 255,
    b"x" * 256,
    b"",
    b"a b",
    b"a\tb",
    b"\xc3\xa9",
    b"\x80\xff",
    b"k,k",
    b"$where",
)


@st.composite
def rest_calls(draw: st.DrawFn, route: Route) -> RestCall:
    """Requests to one route, mostly with the right verb and path. The body or query may be wrong."""
    message = draw(messages(route.method.input_type))
    path = _PARAMETER.sub(lambda found: _quoted(str(getattr(message, found[1]))), route.template)
    if draw(st.integers(0, 7)):
        for name in _PARAMETER.findall(route.template):
            message.ClearField(name)
    body = draw(bodies(message)) if route.has_body or not draw(st.integers(0, 15)) else b""
    query = "" if route.has_body else _query_of(message)
    if not draw(st.integers(0, 7)):
        query += "&" + draw(pick(ODD_QUERIES))
    is_aimed = draw(st.integers(0, 15)) > 1
    verb = route.verb
    if not is_aimed:
        verb = draw(st.sampled_from((route.verb, *VERBS)))
        position = draw(st.integers(0, len(path)))
        path = "/" + (path[:position] + draw(pick(PATH_DAMAGES)) + path[position:]).lstrip("/")
    return RestCall(
        route.method.containing_service,
        verb,
        f"{path}{'?' if query else ''}{query}".replace(quote(SURROGATE), quote(REAL_SURROGATE)).encode(),
        tuple(draw(headers())),
        body,
        route.method if is_aimed else None,
    )


@st.composite
def headers(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """A content type, mostly the right one, and sometimes one or two idempotency keys."""
    usual = draw(st.integers(0, 9))
    found = [(b"content-type", CONTENT_TYPES[0] if usual else draw(pick(CONTENT_TYPES)))]
    if not draw(st.integers(0, 7)):
        keys = draw(st.lists(pick(KEYS), min_size=1, max_size=2))
        found += [(b"idempotency-key", key) for key in keys]
    return found


def _query_of(message: Message) -> str:
    """The fields of a message as parameters.

    A field of an inner message has a path such as `token.attempt`.
    """
    return urlencode([(path.removeprefix("."), value) for path, value in _parameters("", tree(message))])


def _parameters(path: str, node: Node) -> Iterator[tuple[str, str]]:
    match node:
        case Object(pairs):
            for key, value in pairs:
                yield from _parameters(f"{path}.{_plain(key)}", value)
        case list():
            for item in node:
                yield from _parameters(path, item)
        case _:
            yield path, _plain(node)


def _plain(json_text: Node) -> str:
    """The content of a JSON string. Other scalars are unchanged."""
    assert isinstance(json_text, str)
    return str(json.loads(json_text)) if json_text.startswith('"') else json_text


def _quoted(text: str) -> str:
    return quote(text, safe="")
