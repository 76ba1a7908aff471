"""Routes whose answers are files. Envoy has no file server, so the content of a file stands in its route."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
FOR_ALL = {
    "x-content-type-options": "nosniff",
    # A browser asks each time whether a file has changed (304), so that a new version is seen at once.
    "cache-control": "no-cache",
}
_FILTER = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig"}
_DISABLED, _ENABLED = {**_FILTER, "disabled": True}, {**_FILTER, "config": {}}
NOT_TRANSCODED = {"envoy.filters.http.grpc_json_transcoder": _DISABLED, "rest_answers": _ENABLED}
ANSWERED_AT_ONCE = {
    **NOT_TRANSCODED,
    "envoy.filters.http.buffer": _DISABLED,
    "envoy.filters.http.compressor": _ENABLED,
}


def routes_of_file(match: Mapping[str, Any], path: Path, headers: Mapping[str, str]) -> Iterator[Json]:
    """Three routes: for other methods than GET and HEAD, for a client that has the file, and for any other.

    `match`: the URL's path, as Envoy matches it. Envoy compares headers before the path, for each request: so
    few headers, and no regular expression. Raises ValueError for a file of an unknown kind.
    """
    if path.suffix not in CONTENT_TYPES:
        raise ValueError(f"the content type of {path.name} is not known")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:16]
    # It is weak, because the answer may be compressed.
    every = {
        **FOR_ALL,
        **headers,
        "etag": f'W/"{digest}"',
        "content-type": CONTENT_TYPES[path.suffix],
    }
    is_known = {"name": "if-none-match", "string_match": {"contains": digest}}
    name = re.sub("[^a-zA-Z]+", "_", f"{path.parent.name}_{path.name}")
    for conditions, answer, added in (
        ([_is_not("GET"), _is_not("HEAD")], {"status": 405}, {"allow": "GET, HEAD"}),
        ([is_known], {"status": 304}, every),
        ([], {"status": 200, "body": {"inline_string": content.decode()}}, every),
    ):
        yield {
            "name": f"{name}_{answer['status']}",
            "match": {**match, "headers": conditions},
            "direct_response": answer,
            "response_headers_to_add": [set_header(key, value) for key, value in added.items()],
            # Envoy gives every 3xx a location.
            "response_headers_to_remove": ["location"],
            "typed_per_filter_config": ANSWERED_AT_ONCE,
        }


def set_header(key: str, value: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _is_not(method: str) -> Json:
    return {"name": ":method", "string_match": {"exact": method}, "invert_match": True}
