"""The routes of envoy.yaml that follow from the contract: calls, their time-outs and repeats, and REST paths.

    python -m gateway.routes

writes them into envoy.yaml, between the comments `BEGIN` and `END`. A listener serves the services that its
transcoder names. `make proto` runs this; gateway.validate fails if the file differs from the contract.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import indent

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from contract_runtime import limits, rest
from gateway import yaml_text
from gateway.configure import BASE_FILE, TRANSCODER
from gateway.listeners import http_filter
from job_client._gen.jobs.v1.options_pb2 import Repeats, Waits

CLUSTERS = {limits.JOB_SERVICE.full_name: "api_server", limits.WORKER_SERVICE.full_name: "worker_service"}
SERVICES = {service.full_name: service for service in (limits.JOB_SERVICE, limits.WORKER_SERVICE)}
TWINS = {rest.twin_of(name): name for name in SERVICES}
"""The services that the transcoder calls, see contract_runtime/rest.py."""
WITH_HEAD = {"get": {"GET", "HEAD"}}
RETRY_ON = "unavailable,cancelled,connect-failure,refused-stream,reset"
"""A server that is stopping answers CANCELLED to a call that comes too late."""
MARKED = re.compile(
    r"(?P<begin>^ *# BEGIN (?P<kind>calls|wrong methods) of (?P<service>\S+)\n)"
    r"(?P<block>.*?)"
    r"(?P<end>^ *# END\n)",
    re.MULTILINE | re.DOTALL,
)
INDENT = " " * 24
WITH_WAIT = r"[^?]*\?(.*&)?wait=.*"
"""The path of a REST request with the query parameter `wait`."""
PARAMETER = re.compile(r"\{\w+\}")


def with_routes(text: str) -> str:
    """The text of envoy.yaml with the routes that the contract wants."""
    return MARKED.sub(
        lambda found: found["begin"] + _block(found["kind"], found["service"]) + found["end"], text
    )


def disagreements(text: str) -> list[str]:
    """Where the text of envoy.yaml differs from the contract; empty if nowhere."""
    marked = {(each["kind"], each["service"]): each["block"] for each in MARKED.finditer(text)}
    found = [
        f"the {kind} of {service} differ from the contract; run `python -m gateway.routes`"
        for (kind, service), block in marked.items()
        if block != _block(kind, service)
    ]
    for listener in yaml_text.load(text)["static_resources"]["listeners"]:
        transcoder = http_filter(listener, TRANSCODER)
        buffer = http_filter(listener, "envoy.filters.http.buffer")
        for name in transcoder["services"]:
            service = TWINS.get(name)
            if service is None:
                found.append(f"listener {listener['name']} serves {name}, which is not the twin of a service")
                continue
            found += [
                f"listener {listener['name']} has no marked {kind} of {service}"
                for kind in ROUTES
                if (kind, service) not in marked
            ]
            limit = limits.limits_of(SERVICES[service])
            for what, actual, wanted in (
                ("max_request_bytes", buffer["max_request_bytes"], limit.max_json_request_bytes),
                ("max_request_body_size", transcoder["max_request_body_size"], limit.max_json_request_bytes),
                (
                    "max_response_body_size",
                    transcoder["max_response_body_size"],
                    limit.max_json_response_bytes,
                ),
            ):
                if actual != wanted:
                    found.append(
                        f"listener {listener['name']}: {what} is {actual}, the contract has {wanted}"
                    )
    return found


def calls(service: ServiceDescriptor) -> Iterator[str]:
    """Routes of gRPC calls. The transcoder turns a REST request into a call of the service's twin."""
    usual = limits.seconds(limits.limits_of(service).timeout)
    for methods in _alike(service):
        for route in _routes(methods[0], service):
            if not route.is_plain(usual):
                yield _text(service, methods, route)
    yield f"""\
- name: other_calls
  match: {{safe_regex: {{regex: '{_either(service)}/.*'}}, grpc: {{}}}}
  route: {{cluster: {CLUSTERS[service.full_name]}, timeout: {usual:g}s}}
  typed_per_filter_config: {{envoy.filters.http.buffer: *disabled}}
"""


@dataclass(frozen=True)
class Route:
    """One route of a call. `headers`: matchers that its requests meet."""

    timeout: float
    repeats: Repeats
    headers: tuple[str, ...] = ()
    waits: Waits | None = None
    is_waiting: bool = False

    def is_plain(self, usual: float) -> bool:
        """Whether the route of all other calls serves these too."""
        return self.timeout == usual and not self.repeats.ListFields() and self.waits is None

    @property
    def attempt_timeout(self) -> float | None:
        """Seconds after which the call is sent again. A response that a call waits for is never late."""
        if self.is_waiting or not self.repeats.HasField("attempt_timeout"):
            return None
        return limits.seconds(self.repeats.attempt_timeout)


def _routes(method: MethodDescriptor, service: ServiceDescriptor) -> Iterator[Route]:
    """The routes of a call, those with the most matchers first."""
    waits = limits.waits_of(method)
    if waits is not None:
        by_query = f"{{name: x-envoy-original-path, string_match: {{safe_regex: {{regex: '{WITH_WAIT}'}}}}}}"
        for matcher in (by_query, _present(waits.header)):
            for route in _repeated_or_not(method, limits.seconds(waits.timeout)):
                yield replace(route, headers=(matcher, *route.headers), waits=waits, is_waiting=True)
    for route in _repeated_or_not(method, limits.timeout_of(method, service)):
        yield replace(route, waits=waits)


def _repeated_or_not(method: MethodDescriptor, timeout: float) -> Iterator[Route]:
    """A call that needs a header to be safe to repeat has a second route, for calls without the header."""
    repeats = limits.repeats_of(method)
    if repeats is not None and repeats.idempotency_header:
        yield Route(timeout, repeats, (_present(repeats.idempotency_header),))
        repeats = None
    yield Route(timeout, repeats or Repeats())


def _present(header: str) -> str:
    return f"{{name: {header}, present_match: true}}"


def wrong_methods(service: ServiceDescriptor) -> Iterator[str]:
    """Routes that answer 405 at a REST path with a method that the path does not take.

    The colon of a verb (`/jobs/{id}:cancel`) may be escaped.
    """
    for path, methods in _methods_of_paths(service).items():
        pattern = PARAMETER.sub("[^/:%]+", path.replace(":", "(:|%3[Aa])"))
        yield f"""\
- name: wrong_method_on_{re.sub("[^a-zA-Z]+", "_", path).strip("_")}
  match:
    {f"path: {path}" if pattern == path else f"safe_regex: {{regex: '{pattern}'}}"}
    headers:
      - {{name: ":method", string_match: {{safe_regex: {{regex: {"|".join(methods)}}}}}, invert_match: true}}
      # A preflight is for the CORS filter.
      - {{name: access-control-request-method, present_match: false}}
  direct_response: {{status: 405}}
  response_headers_to_add: [{{header: {{key: allow, value: "{", ".join(methods)}"}}}}]
  typed_per_filter_config: *answered_at_once
"""


ROUTES = {"calls": calls, "wrong methods": wrong_methods}


def _block(kind: str, service: str) -> str:
    return indent("".join(ROUTES[kind](SERVICES[service])), INDENT)


def _text(service: ServiceDescriptor, methods: Sequence[MethodDescriptor], route: Route) -> str:
    """The route of calls that have the same options."""
    lines = [f"- name: {'_'.join(method.name for method in methods)}", "  match:"]
    lines += [f"    {_path(service, methods)}", "    grpc: {}"]
    if route.headers:
        lines += [f"    headers: [{', '.join(route.headers)}]"]
    lines += ["  route:", f"    cluster: {CLUSTERS[service.full_name]}", f"    timeout: {route.timeout:g}s"]
    if route.repeats.ListFields():
        lines += ["    retry_policy:", f"      retry_on: {RETRY_ON}", "      num_retries: 4"]
        if route.attempt_timeout is not None:
            lines += [f"      per_try_timeout: {route.attempt_timeout:g}s"]
        lines += [
            "      host_selection_retry_max_attempts: *until_it_is_another",
            "      retry_host_predicate: *another_host",
            "      retry_back_off: *soon",
        ]
    if route.repeats.hedged and route.attempt_timeout is not None:
        lines += ["    hedge_policy: {hedge_on_per_try_timeout: true}"]
    if route.repeats.max_bytes:
        lines += [f"  request_body_buffer_limit: {route.repeats.max_bytes}"]
    if route.waits is not None:
        lines += [f"  {_limit_header(route, route.waits.limit_header)}"]
    lines += ["  typed_per_filter_config: {envoy.filters.http.buffer: *disabled}"]
    return "\n".join(lines) + "\n"


def _limit_header(route: Route, name: str) -> str:
    """How the route makes the server end a wait that the gateway has not recognized."""
    if route.is_waiting:
        return f"request_headers_to_remove: [{name}]"
    limit = route.attempt_timeout or route.timeout
    header = f'{{header: {{key: {name}, value: "{limit:g}"}}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}'
    return f"request_headers_to_add: [{header}]"


def _path(service: ServiceDescriptor, methods: Sequence[MethodDescriptor]) -> str:
    names = "|".join(method.name for method in methods)
    return f"safe_regex: {{regex: '{_either(service)}/{names if len(methods) == 1 else f'({names})'}'}}"


def _either(service: ServiceDescriptor) -> str:
    """A pattern for the path of the service or its twin."""
    package = re.escape(f"{service.file.package}.")
    return rf"/{package}(rest\.)?{service.name}"


def _alike(service: ServiceDescriptor) -> list[list[MethodDescriptor]]:
    """The service's methods in groups that share their routes."""
    groups: dict[object, list[MethodDescriptor]] = {}
    for method in service.methods:
        options = (limits.repeats_of(method), limits.waits_of(method))
        raw = tuple(option and option.SerializeToString() for option in options)
        groups.setdefault((limits.timeout_of(method, service), *raw), []).append(method)
    return list(groups.values())


def _methods_of_paths(service: ServiceDescriptor) -> dict[str, list[str]]:
    """The HTTP methods of each REST path, both sorted by name. HEAD is where GET is."""
    found: dict[str, set[str]] = {}
    for method in service.methods:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            pattern = each.WhichOneof("pattern")
            if pattern:
                found.setdefault(getattr(each, pattern), set()).update(
                    WITH_HEAD.get(pattern, {pattern.upper()})
                )
    return {path: sorted(methods) for path, methods in sorted(found.items())}


def main() -> int:
    """Write the routes; exit status 1 when the rest of the file differs from the contract."""
    BASE_FILE.write_text(with_routes(BASE_FILE.read_text(encoding="utf-8")), encoding="utf-8")
    found = disagreements(BASE_FILE.read_text(encoding="utf-8"))
    sys.stderr.writelines(f"{BASE_FILE.name}: {each}\n" for each in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
