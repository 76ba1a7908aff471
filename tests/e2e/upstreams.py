"""The gateway's view of the servers behind it."""

import httpx

from local_stack.services import admin_socket
from local_stack.stack import Stack


def admin_client(stack: Stack) -> httpx.Client:
    """A client of Envoy's admin pages."""
    path = admin_socket(stack.settings)
    assert path is not None, f"the path of {stack.settings.data_dir} is too long for a socket"
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost")


def healthy_ports(stack: Stack, cluster: str) -> set[int]:
    """The ports that Envoy sends calls to."""
    with admin_client(stack) as admin:
        clusters = admin.get("/clusters", params={"format": "json"}).json()["cluster_statuses"]
    [hosts] = [each.get("host_statuses", []) for each in clusters if each["name"] == cluster]
    return {
        host["address"]["socket_address"]["port_value"]
        for host in hosts
        if host["health_status"].get("eds_health_status") == "HEALTHY"
        and not any(name.startswith("failed_") for name in host["health_status"])
    }
