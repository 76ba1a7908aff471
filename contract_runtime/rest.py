"""What the gateway and the servers agree on for REST calls.

The gateway maps a REST request to a call of a twin of its service: `jobs.v1.rest.JobService` has the REST
methods of `jobs.v1.JobService`. The requests of the twin have one more field, which holds the JSON body as
the client has sent it. The servers parse it, because Envoy would drop its unknown fields silently. A server
that does not know the twin refuses the call; it cannot take a request with a body for one without.
"""

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor

BODY_FIELD = "http_body"
BODY_NUMBER = 50_000
"""The field with the body, a google.api.HttpBody, in the requests of the twin."""
REQUEST_ID_HEADER = "request-id"
"""The gateway adds it to each call that has none, and to the answer."""
HEAD_HEADER = "x-http-head"
"""Request metadata: the client has sent HEAD, so the gateway drops the body of the answer."""
STATUS_HEADER = "x-http-status"
"""Response metadata: the HTTP status that the gateway sends in place of the usual one."""


def twin_of(name: str) -> str:
    """The full name of a service's twin, or of a message's in its package."""
    package, _, last = name.rpartition(".")
    return f"{package}.rest.{last}"


def native_of(twin: str) -> str:
    """The full name of the service or message that has this twin."""
    package, _, last = twin.rpartition(".")
    return f"{package.removesuffix('.rest')}.{last}"


def has_rest(method: MethodDescriptor) -> bool:
    """Whether the contract offers the method as REST."""
    return method.GetOptions().HasExtension(annotations_pb2.http)
