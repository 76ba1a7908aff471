"""The contract's limits and which calls may be repeated, read from the options in proto/jobs/v1/."""

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.duration_pb2 import Duration

from job_client._gen.jobs.v1 import fleet_service_pb2, job_service_pb2, options_pb2, worker_service_pb2

JOB_SERVICE = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
FLEET_SERVICE = fleet_service_pb2.DESCRIPTOR.services_by_name["FleetService"]
WORKER_SERVICE = worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"]

DEFAULT_REQUEST_BYTES = 64 * 1024
"""The largest request of a method that has no option `max_request_bytes`."""
JSON_FACTOR = 4
"""A request may have this many times as many bytes as JSON."""


def limits_of(service: ServiceDescriptor) -> options_pb2.ServiceLimits:
    """The service's limits. They are zero where the contract sets none."""
    return service.GetOptions().Extensions[options_pb2.limits]


def repeats_of(method: MethodDescriptor) -> options_pb2.Repeats | None:
    """How the call is repeated. None: it is not safe to repeat.

    Raises ValueError if the method's options contradict each other.
    """
    options = method.GetOptions()
    repeats = options.Extensions[options_pb2.repeats]
    is_safe = options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN or bool(
        repeats.idempotency_header
    )
    if is_safe != repeats.HasField("attempt_timeout"):
        raise ValueError(
            f"{method.full_name}: exactly the calls that are safe to repeat must have an attempt_timeout"
        )
    return repeats if is_safe else None


def is_read(method: MethodDescriptor) -> bool:
    """Whether the call changes nothing."""
    return bool(method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


def timeout_of(method: MethodDescriptor, service: ServiceDescriptor) -> float:
    """Seconds that the gateway waits for the response of a method of the service; 0: without a limit."""
    options = method.GetOptions()
    if options.HasExtension(options_pb2.timeout):
        return seconds(options.Extensions[options_pb2.timeout])
    return seconds(limits_of(service).timeout)


def request_bytes_of(method: MethodDescriptor) -> int:
    """Bytes of the largest request of the method, as protobuf."""
    return method.GetOptions().Extensions[options_pb2.max_request_bytes] or DEFAULT_REQUEST_BYTES


def json_request_bytes_of(method: MethodDescriptor) -> int:
    """The same as JSON."""
    most = limits_of(method.containing_service).max_json_request_bytes
    return min(JSON_FACTOR * request_bytes_of(method), most)


def waits_of(method: MethodDescriptor) -> options_pb2.Waits | None:
    """How the call waits. None: it never does.

    Raises ValueError if the request has no field `wait`, or the option lacks one of its values.
    """
    waits = method.GetOptions().Extensions[options_pb2.waits]
    if not waits.ListFields():
        return None
    is_complete = len(waits.ListFields()) == len(waits.DESCRIPTOR.fields)
    if not is_complete or "wait" not in method.input_type.fields_by_name:
        raise ValueError(f"{method.full_name}: a call that waits has a field `wait`, and all values of Waits")
    return waits


def longest_wait(method: MethodDescriptor, service: ServiceDescriptor) -> float:
    """Seconds that a call of the method may wait at most, so that the gateway still gets its response.

    Raises ValueError if the call never waits.
    """
    waits = waits_of(method)
    if waits is None:
        raise ValueError(f"{method.full_name} does not wait")
    return seconds(waits.timeout) - timeout_of(method, service)


def attempt_seconds(method: MethodDescriptor) -> float:
    """Seconds without an answer after which the call is sent to another server.

    Raises ValueError if the call is not safe to repeat.
    """
    repeats = repeats_of(method)
    if repeats is None:
        raise ValueError(f"{method.full_name} is not safe to repeat")
    return seconds(repeats.attempt_timeout)


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


SERVICES = (JOB_SERVICE, FLEET_SERVICE, WORKER_SERVICE)
MAX_REQUEST_BYTES = max(limits_of(service).max_request_bytes for service in SERVICES)
MAX_RESPONSE_BYTES = max(limits_of(service).max_response_bytes for service in SERVICES)
"""The largest of all services, as protobuf: a channel or a server has one limit for all its services."""
