"""The routes of the dashboard: its files, and the three calls of the workers' port that it needs.

Envoy has no file server, so each file is the body of a route. configure.py adds the routes to the jobs
listener. envoy.yaml does not have them: they follow from the folder `dashboard`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from gateway.static_files import ANSWERED_AT_ONCE, NOT_TRANSCODED, routes_of_file, set_header

Json = dict[str, Any]
Dashboard = Literal["full", "no-stop", "off"]
"""`no-stop`: it shows the fleet, but cannot start and stop it. `off`: there is no dashboard."""

DASHBOARDS: tuple[Dashboard, ...] = get_args(Dashboard)
FOLDER = Path(__file__).parent / "dashboard"
HOME = "/ui/"
PAGES = r"/ui/(jobs(/[^/]+)?|fleet|types(/[^/]+)?)?"
"""The paths of pages. All are index.html, which reads the path."""
CLUSTER = "workers_port"
DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    # No text can become markup or code, not even by a mistake in the dashboard.
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in DIRECTIVES.items()),
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SENT_BY_THE_DASHBOARD = {"name": "x-requested-with", "string_match": {"exact": "dashboard"}}
"""Another site's page cannot send this header without a preflight, which the gateway does not allow."""


def routes(dashboard: Dashboard) -> list[Json]:
    """The routes for the jobs listener."""
    if dashboard == "off":
        return []
    return [*_redirects(), *_files(), *_fleet_calls(dashboard)]


def largest_file() -> int:
    """The size in bytes of the largest body of a route."""
    return max(path.stat().st_size for path in _paths())


def cluster(port: int) -> Json:
    """The gateway's own listener for workers: the dashboard's calls follow all of its rules."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _redirects() -> Iterator[Json]:
    for path in ("/", "/ui"):
        yield {
            "name": "to_the_dashboard",
            "match": {"path": path, "headers": [_method("GET|HEAD")]},
            "direct_response": {"status": 302},
            "response_headers_to_add": [set_header("location", HOME)],
            "typed_per_filter_config": ANSWERED_AT_ONCE,
        }


def _files() -> Iterator[Json]:
    for path in _paths():
        yield from routes_of_file({"path": HOME + path.relative_to(FOLDER).as_posix()}, path, HEADERS)
    yield from routes_of_file({"safe_regex": {"regex": PAGES}}, FOLDER / "index.html", HEADERS)


def _paths() -> list[Path]:
    """All files, in a fixed order."""
    return sorted(path for path in FOLDER.rglob("*") if path.is_file())


def _fleet_calls(dashboard: Dashboard) -> Iterator[Json]:
    calls = {"state": "GET"} if dashboard == "no-stop" else {"state": "GET", "start": "POST", "stop": "POST"}
    for name, method in calls.items():
        yield {
            "name": f"dashboard_{name}",
            "match": {"path": f"/ui/api/{name}", "headers": [_method(method), SENT_BY_THE_DASHBOARD]},
            "route": {"cluster": CLUSTER, "prefix_rewrite": f"/{name}", "timeout": "15s"},
            "typed_per_filter_config": NOT_TRANSCODED,
        }


def _method(names: str) -> Json:
    return {"name": ":method", "string_match": {"safe_regex": {"regex": names}}}
