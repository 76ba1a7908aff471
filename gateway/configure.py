"""Changes ports, addresses, host names and CORS origins in envoy.yaml; adds dashboard and the page at /api.

    python -m gateway.configure FILE

writes the configuration for containers. It allows the origins in GATEWAY_CORS_ORIGINS and the host names in
GATEWAY_HOSTS, and lists one upstream port for each process: API_SERVER_PROCESSES for an API server,
WORKER_COUNT for a worker service. GATEWAY_DASHBOARD says how much the dashboard can do.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from gateway import dashboard_routes, document_routes, web_pages, yaml_text
from gateway.dashboard_routes import DASHBOARDS, Dashboard
from gateway.listeners import connection_manager, http_filter, own_host
from gateway.web_pages import ANY_PROGRAM, CORS_VARIABLE, HOSTS_VARIABLE, Callers

BASE_FILE = Path(__file__).parent / "envoy.yaml"
DASHBOARD_VARIABLE = "GATEWAY_DASHBOARD"
PROCESSES_VARIABLES = {"api_server": "API_SERVER_PROCESSES", "worker_service": "WORKER_COUNT"}
MAX_PROCESSES = 64
"""The same as in service_runtime.settings, which the gateway's image does not contain."""
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
Json = dict[str, Any]
Address = tuple[str, int]


@dataclass(frozen=True)
class Ports:
    """The TCP ports that Envoy listens on, and the Unix socket of its admin pages, if it shall have any."""

    jobs: int
    workers: int
    admin: Path | None = None


def render(
    ports: Ports,
    api_servers: Sequence[Address],
    workers: Sequence[Address],
    descriptor_path: Path,
    callers: Callers = ANY_PROGRAM,
    listen_host: str = "127.0.0.1",
    dashboard: Dashboard = "full",
) -> str:
    """The text of an Envoy configuration.

    `api_servers` and `workers` are (host, port) pairs. A host is an IP address or a name. A name stands for
    all addresses that it resolves to. `descriptor_path` is the file that gateway.descriptor wrote.
    Raises ValueError for an empty list of servers, or an invalid origin or host.
    """
    config = _base()
    if ports.admin is None:
        del config["admin"]
    else:
        config["admin"]["address"]["pipe"]["path"] = str(ports.admin)
    resources = config["static_resources"]
    for listener in resources["listeners"]:
        listener["address"]["socket_address"] = {
            "address": listen_host,
            "port_value": {"jobs": ports.jobs, "workers": ports.workers}[listener["name"]],
        }
        http_filter(listener, TRANSCODER)["proto_descriptor"] = str(descriptor_path)
    for cluster in resources["clusters"]:
        _set_endpoints(cluster, {"api_server": api_servers, "worker_service": workers}[cluster["name"]])
    web_pages.allow(resources["listeners"], callers)
    _add_files(resources, dashboard)
    return yaml_text.dump(config)


def render_for_containers(
    callers: Callers, processes: Mapping[str, int] | None = None, dashboard: Dashboard = "full"
) -> str:
    """The text of envoy.yaml with its own ports and servers, and with `callers` as in render().

    `processes` has the number of processes behind each address, by the cluster's name; the default is one.
    The n-th process listens on the cluster's port + n - 1.
    """
    config = _base()
    resources = config["static_resources"]
    for cluster in resources["clusters"]:
        [(host, port)] = _endpoints(cluster)
        _set_endpoints(cluster, [(host, port + n) for n in range((processes or {}).get(cluster["name"], 1))])
    web_pages.allow(resources["listeners"], callers)
    _add_files(resources, dashboard)
    return yaml_text.dump(config)


def _base() -> Json:
    config: Json = yaml_text.load(BASE_FILE.read_text(encoding="utf-8"))
    return config


def _endpoints(cluster: Json) -> list[Address]:
    addresses = [
        each["endpoint"]["address"]["socket_address"]
        for group in cluster["load_assignment"]["endpoints"]
        for each in group["lb_endpoints"]
    ]
    return [(address["address"], address["port_value"]) for address in addresses]


def _set_endpoints(cluster: Json, addresses: Sequence[Address]) -> None:
    if not addresses:
        raise ValueError(f"cluster {cluster['name']}: at least one server address is needed")
    if all(_is_ip(host) for host, _ in addresses):
        del cluster["cluster_type"]
        cluster["type"] = "STATIC"
    cluster["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
                for host, port in addresses
            ]
        }
    ]


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _add_files(resources: Json, dashboard: Dashboard) -> None:
    """Put the routes of the dashboard and of /api behind those of calls, which then do not pay for them."""
    listeners = {each["name"]: each for each in resources["listeners"]}
    route_config = connection_manager(listeners["jobs"])["route_config"]
    host = own_host(listeners["jobs"])
    *others, rest = host["routes"]
    most_calls = {**rest, "name": "rest_jobs", "match": {"prefix": "/jobs"}}
    files = [*dashboard_routes.routes(dashboard), *document_routes.routes()]
    host["routes"] = [*others, most_calls, *files, rest]
    sizes = dashboard_routes.largest_file(), document_routes.largest_file()
    route_config["max_direct_response_body_size_bytes"] = max(sizes)
    if dashboard != "off":
        port = listeners["workers"]["address"]["socket_address"]["port_value"]
        resources["clusters"].append(dashboard_routes.cluster(port))


def _listed(variable: str) -> list[str]:
    return [part.strip() for part in os.environ.get(variable, "").split(",") if part.strip()]


def _processes(variable: str) -> int:
    """The number of processes in an environment variable, 1 if it is not set. Raises ValueError."""
    value = os.environ.get(variable, "") or "1"
    if not re.fullmatch(r"[0-9]{1,2}", value) or not 1 <= int(value) <= MAX_PROCESSES:
        raise ValueError(f"{variable}: {value!r} is not allowed: must be from 1 to {MAX_PROCESSES}")
    return int(value)


def _dashboard() -> Dashboard:
    """The setting in the environment, `full` if it is not set. Raises ValueError."""
    value = os.environ.get(DASHBOARD_VARIABLE, "") or "full"
    for known in DASHBOARDS:
        if value == known:
            return known
    raise ValueError(f"{DASHBOARD_VARIABLE}: {value!r} is not allowed: must be {', '.join(DASHBOARDS)}")


def main(arguments: list[str]) -> int:
    """The command line. Exit status 2 for wrong arguments or an invalid setting."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m gateway.configure FILE\n")
        return 2
    callers = Callers(_listed(CORS_VARIABLE), _listed(HOSTS_VARIABLE))
    try:
        processes = {name: _processes(variable) for name, variable in PROCESSES_VARIABLES.items()}
        text = render_for_containers(callers, processes, _dashboard())
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    Path(arguments[0]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
