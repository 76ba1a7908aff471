"""Which web pages may call, and under which host names the gateway serves at all.

A browser sends requests for any page that is open in it. It names the page's origin in most of them. A page
can also make its own host name resolve to this machine. Then the browser takes the gateway for a part of that
page, and names no origin.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.listeners import connection_manager, http_filter, own_host

Json = dict[str, Any]
CORS_VARIABLE = "GATEWAY_CORS_ORIGINS"
HOSTS_VARIABLE = "GATEWAY_HOSTS"
NO_ORIGINS = "local origins = {}\n"
"""The line of the filter web_pages that gets the allowed origins."""
ALLOWED_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "request-id",
    # gRPC-Web's.
    "grpc-timeout",
    "x-grpc-web",
    "x-user-agent",
)
EXPOSED_HEADERS = (
    "etag",
    "idempotent-replayed",
    "location",
    "request-id",
    # gRPC-Web's.
    "grpc-message",
    "grpc-status",
    "grpc-status-details-bin",
)
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class Callers:
    """Whom the gateway serves. `*` in a list stands for all.

    `origins`: the origins of web pages of other sites that may call, such as `https://example.org`.
    `hosts`: the names, besides this machine's own, under which clients may call the gateway.
    """

    origins: Sequence[str] = ()
    hosts: Sequence[str] = ()


ANY_PROGRAM = Callers()
"""Programs, and the gateway's own dashboard."""


def allow(listeners: Sequence[Json], callers: Callers) -> None:
    """Change the listeners. Raises ValueError for an invalid origin or host."""
    for listener in listeners:
        _allow_origins(listener, callers.origins)
        _allow_hosts(listener, callers.hosts)


def _allow_origins(listener: Json, origins: Sequence[str]) -> None:
    if not origins:
        return
    own_host(listener)["typed_per_filter_config"] = {
        "envoy.filters.http.cors": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [_origin_matcher(origin) for origin in origins],
            "allow_methods": "GET, HEAD, POST, PATCH, DELETE",
            "allow_headers": ", ".join(ALLOWED_HEADERS),
            "expose_headers": ", ".join(EXPOSED_HEADERS),
            "max_age": "600",
        }
    }
    source = http_filter(listener, "web_pages")["default_source_code"]
    allowed = ", ".join(f'["{origin}"] = true' for origin in origins)
    source["inline_string"] = source["inline_string"].replace(NO_ORIGINS, f"local origins = {{{allowed}}}\n")


def _allow_hosts(listener: Json, hosts: Sequence[str]) -> None:
    for host in hosts:
        if host != "*" and not HOST.fullmatch(host):
            raise ValueError(
                f"{HOSTS_VARIABLE}: {host!r} is not allowed: each must be a host without a port, such as "
                "jobs.example.org, *.example.org, 192.0.2.7 or [2001:db8::7], or * for all"
            )
    own = own_host(listener)
    if "*" in hosts:
        own["domains"] = ["*"]
        connection_manager(listener)["route_config"]["virtual_hosts"] = [own]
    else:
        own["domains"] = list(dict.fromkeys([*own["domains"], *(host.lower() for host in hosts)]))


def _origin_matcher(origin: str) -> Json:
    if origin == "*":
        return {"safe_regex": {"regex": ".*"}}
    if not ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{CORS_VARIABLE}: {origin!r} is not allowed: each must be scheme, host and port, such as "
            "https://example.org or http://localhost:8080, or * for all"
        )
    return {"exact": origin}
