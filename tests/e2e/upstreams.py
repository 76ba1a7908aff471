"""The gateway's view of the servers behind it."""

import httpx

from local_stack.settings import HOST
from local_stack.stack import Stack


def healthy_ports(stack: Stack, cluster: str) -> set[int]:
    """The ports that Envoy sends calls to."""
    url = f"http://{HOST}:{stack.settings.envoy_admin_port}/clusters"
    clusters = httpx.get(url, params={"format": "json"}, trust_env=False).json()["cluster_statuses"]
    [hosts] = [each.get("host_statuses", []) for each in clusters if each["name"] == cluster]
    return {
        host["address"]["socket_address"]["port_value"]
        for host in hosts
        if host["health_status"].get("eds_health_status") == "HEALTHY"
        and not any(name.startswith("failed_") for name in host["health_status"])
    }
