"""Where the parts of a listener are in envoy.yaml."""

from typing import Any

Json = dict[str, Any]


def connection_manager(listener: Json) -> Json:
    manager: Json = listener["filter_chains"][0]["filters"][-1]["typed_config"]
    return manager


def http_filter(listener: Json, name: str) -> Json:
    """The configuration of one of the listener's HTTP filters."""
    filters = {each["name"]: each for each in connection_manager(listener)["http_filters"]}
    config: Json = filters[name]["typed_config"]
    return config


def own_host(listener: Json) -> Json:
    """The virtual host that serves calls. The other one refuses calls under other names."""
    host: Json = connection_manager(listener)["route_config"]["virtual_hosts"][0]
    return host
