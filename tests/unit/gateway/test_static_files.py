"""The routes of a file, as Envoy chooses among them."""

from pathlib import Path
from typing import Any

import pytest

from gateway.static_files import routes_of_file


def chosen(routes: list[dict[str, Any]], method: str, if_none_match: str = "") -> dict[str, Any]:
    """The first route whose headers match, as for the path of the file."""
    headers = {":method": method, "if-none-match": if_none_match}
    for route in routes:
        if all(matches(each, headers[each["name"]]) for each in route["match"]["headers"]):
            return route
    raise AssertionError("no route")


def matches(condition: dict[str, Any], value: str) -> bool:
    [(how, wanted)] = condition["string_match"].items()
    found: bool = value == wanted if how == "exact" else wanted in value
    is_inverted: bool = condition.get("invert_match", False)
    return found != is_inverted


def headers_of(route: dict[str, Any]) -> dict[str, str]:
    return {each["header"]["key"]: each["header"]["value"] for each in route["response_headers_to_add"]}


def test_a_file_is_sent_refused_or_known(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("hé")
    routes = list(routes_of_file({"path": "/page"}, file, {"x-frame-options": "DENY"}))

    assert {route["match"]["path"] for route in routes} == {"/page"}
    sent = chosen(routes, "GET")
    assert sent == chosen(routes, "HEAD")
    assert sent["direct_response"] == {"status": 200, "body": {"inline_string": "hé"}}
    assert headers_of(sent)["content-type"] == "text/html; charset=utf-8"
    assert headers_of(sent)["x-frame-options"] == "DENY"
    tag = headers_of(sent)["etag"]
    assert chosen(routes, "GET", f'"a", {tag}')["direct_response"] == {"status": 304}
    assert chosen(routes, "GET", '"a"') == sent
    for method in ("POST", "OPTIONS"):
        refused = chosen(routes, method, tag)
        assert refused["direct_response"] == {"status": 405}
        assert headers_of(refused) == {"allow": "GET, HEAD"}


def test_another_content_has_another_tag(tmp_path: Path) -> None:
    tags = set()
    for text in ("a", "b"):
        (tmp_path / "x.js").write_text(text)
        *_, sent = routes_of_file({"path": "/x.js"}, tmp_path / "x.js", {})
        tags.add(headers_of(sent)["etag"])

    assert len(tags) == 2


def test_a_file_of_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.exe").write_bytes(b"")

    with pytest.raises(ValueError, match=r"content type of x\.exe is not known"):
        list(routes_of_file({"path": "/x"}, tmp_path / "x.exe", {}))
