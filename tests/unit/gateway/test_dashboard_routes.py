"""The routes of the dashboard's files and calls, as they are put into the configuration."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway import configure, dashboard_routes, web_pages, yaml_text
from gateway.configure import Ports, render

PORTS = Ports(jobs=13000, workers=14000)
FILES = sorted(path for path in dashboard_routes.FOLDER.rglob("*") if path.is_file())
OWN = [path for path in FILES if "vendor" not in path.parts]


@cache
def config(dashboard: dashboard_routes.Dashboard = "full") -> dict[str, Any]:
    server = [("127.0.0.1", 15051)]
    text = render(PORTS, server, server, Path("/nowhere"), dashboard=dashboard)
    loaded: dict[str, Any] = yaml_text.load(text)
    return loaded


def routes(listener: int, dashboard: dashboard_routes.Dashboard = "full") -> list[dict[str, Any]]:
    chain = config(dashboard)["static_resources"]["listeners"][listener]["filter_chains"][0]
    found: list[dict[str, Any]] = chain["filters"][-1]["typed_config"]["route_config"]["virtual_hosts"][0][
        "routes"
    ]
    return found


def headers_of(route: dict[str, Any]) -> dict[str, str]:
    return {each["header"]["key"]: each["header"]["value"] for each in route["response_headers_to_add"]}


def paths(dashboard: dashboard_routes.Dashboard) -> set[str]:
    return {route["match"].get("path", "") for route in routes(0, dashboard)}


def test_each_file_is_served_with_its_type_and_with_headers_that_forbid_foreign_content() -> None:
    served = {
        route["match"].get("path"): route
        for route in routes(0)
        if route.get("direct_response", {}).get("status") == 200
    }

    for file in FILES:
        route = served[f"/ui/{file.relative_to(dashboard_routes.FOLDER).as_posix()}"]
        headers = headers_of(route)
        assert route["direct_response"]["body"]["inline_string"] == file.read_text()
        assert headers["content-type"].startswith(("text/", "image/svg"))
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert re.fullmatch(r'W/"[0-9a-f]{16}"', headers["etag"])


@pytest.mark.parametrize(
    "path", ["/ui/", "/ui/jobs", "/ui/jobs/x", "/ui/fleet", "/ui/types", "/ui/types/compute"]
)
def test_each_page_is_the_same_file(path: str) -> None:
    assert re.fullmatch(dashboard_routes.PAGES, path)


@pytest.mark.parametrize("path", ["/ui/nope", "/ui/jobs/", "/ui/jobs/a/b", "/ui/fleet/x", "/ui"])
def test_no_other_path_is_a_page(path: str) -> None:
    assert not re.fullmatch(dashboard_routes.PAGES, path)


def test_a_browser_that_has_a_file_is_told_so_before_it_is_sent_again() -> None:
    of_icon = [route for route in routes(0) if route["match"].get("path") == "/ui/icon.svg"]

    assert [route["direct_response"]["status"] for route in of_icon] == [405, 304, 200]
    [condition] = of_icon[1]["match"]["headers"]
    assert condition["name"] == "if-none-match"
    assert condition["string_match"]["contains"] in headers_of(of_icon[2])["etag"]


def test_calls_of_the_workers_port_need_the_header_of_the_dashboard() -> None:
    calls = [
        route for route in routes(0) if route.get("route", {}).get("cluster") == dashboard_routes.CLUSTER
    ]

    assert [route["match"]["path"] for route in calls] == ["/ui/api/state", "/ui/api/start", "/ui/api/stop"]
    assert all(dashboard_routes.SENT_BY_THE_DASHBOARD in route["match"]["headers"] for route in calls)
    assert "x-requested-with" not in web_pages.ALLOWED_HEADERS
    clusters = {each["name"]: each for each in config()["static_resources"]["clusters"]}
    [endpoint] = clusters["workers_port"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 14000}


def test_the_setting_takes_away_what_it_says() -> None:
    assert {"/ui/api/state", "/ui/icon.svg"} <= paths("no-stop")
    assert not paths("no-stop") & {"/ui/api/start", "/ui/api/stop"}
    assert not any(path.startswith("/ui") or path == "/" for path in paths("off"))
    assert len(config("off")["static_resources"]["clusters"]) == 2


def test_the_port_of_the_workers_has_no_dashboard() -> None:
    assert not any(route["name"].startswith(("dashboard", "to_the_dashboard")) for route in routes(1))


def test_the_command_ends_with_status_2_on_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_DASHBOARD", "some")

    assert configure.main([str(tmp_path / "envoy.yaml")]) == 2
    assert "GATEWAY_DASHBOARD: 'some' is not allowed: must be full, no-stop, off" in capsys.readouterr().err


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.webp").touch()
    monkeypatch.setattr(dashboard_routes, "FOLDER", tmp_path)

    with pytest.raises(ValueError, match=r"content type of photo\.webp is not known"):
        dashboard_routes.routes("full")


@pytest.mark.parametrize("file", OWN, ids=lambda path: path.name)
def test_a_file_of_ours_is_short_and_names_no_other_host(file: Path) -> None:
    text = file.read_text()

    assert len(text.splitlines()) < 300
    assert max(map(len, text.splitlines())) <= 110
    assert not [url for url in re.findall(r"https?://[\w.]+", text) if "www.w3.org" not in url]


def test_the_vendored_library_comes_with_its_licence() -> None:
    vendor = dashboard_routes.FOLDER / "vendor"
    [version] = re.findall(r"\(v([\d.]+)\)", (vendor / "uPlot.iife.min.js").read_text()[:200])

    assert version == "1.6.32"
    assert (vendor / "uPlot.LICENSE").read_text().startswith("The MIT License")
