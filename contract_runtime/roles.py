"""Which roles may call a method, read from the options in proto/jobs/v1/."""

from enum import StrEnum

from google.protobuf.descriptor import MethodDescriptor

from job_client._gen.jobs.v1 import options_pb2


class Role(StrEnum):
    """What a caller may do, see Role in proto/jobs/v1/options.proto."""

    READER = "reader"
    SUBMITTER = "submitter"
    WORKER = "worker"
    OPERATOR = "operator"


def roles_of(method: MethodDescriptor) -> frozenset[Role]:
    """The roles that the contract names at the method. Raises ValueError if there is none, or one that this
    program does not know.
    """
    numbers = method.GetOptions().Extensions[options_pb2.roles]
    if not numbers:
        raise ValueError(f"{method.full_name}: every method has the option `roles`")
    return frozenset(Role(options_pb2.Role.Name(each).removeprefix("ROLE_").lower()) for each in numbers)


def may_call(method: MethodDescriptor) -> frozenset[Role]:
    """All roles whose callers may call the method: also those that include a named one."""
    named = roles_of(method)
    submitters = {Role.SUBMITTER} if Role.READER in named else set()
    return named | submitters | {Role.OPERATOR}
