"""Every method of the contract names who may call it."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from contract_runtime.limits import FLEET_SERVICE, JOB_SERVICE, SERVICES, WORKER_SERVICE, is_read
from contract_runtime.roles import Role, may_call, roles_of

METHODS = {method.full_name: method for service in SERVICES for method in service.methods}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_names_a_role(name: str) -> None:
    assert roles_of(METHODS[name])


def test_a_method_without_a_role_is_an_error() -> None:
    file = FileDescriptorProto(name="without_role.proto", package="without_role")
    file.message_type.add(name="Nothing")
    method = file.service.add(name="Service").method.add(name="Call")
    method.input_type = method.output_type = ".without_role.Nothing"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    with pytest.raises(ValueError, match="every method has the option `roles`"):
        roles_of(pool.FindServiceByName("without_role.Service").methods_by_name["Call"])


@pytest.mark.parametrize("name", METHODS)
def test_an_operator_may_call_everything(name: str) -> None:
    assert Role.OPERATOR in may_call(METHODS[name])


@pytest.mark.parametrize("name", METHODS)
def test_a_reader_changes_nothing(name: str) -> None:
    method = METHODS[name]
    is_watch = method.name.startswith("Watch")
    assert (Role.READER in may_call(method)) == (is_read(method) or is_watch)


@pytest.mark.parametrize(
    ("role", "changes"),
    [
        (Role.SUBMITTER, {"Create", "BatchCreate", "Cancel", "Retry"}),
        (Role.WORKER, {"RegisterWorker", "Heartbeat", "AppendLog", "BatchUpdateStatus"}),
    ],
)
def test_what_each_role_may_change(role: Role, changes: set[str]) -> None:
    callable_by_role = {each.name for each in METHODS.values() if role in may_call(each)}
    reads = {each.name for each in METHODS.values() if Role.READER in may_call(each)}
    assert callable_by_role - reads == changes


def test_a_worker_reads_jobs_one_by_one_only() -> None:
    names = {each.name for each in METHODS.values() if Role.WORKER in may_call(each)}
    assert names == {"Get", "BatchUpdateStatus", "RegisterWorker", "Heartbeat", "AppendLog"}


def test_the_services_are_those_of_the_contract() -> None:
    assert set(SERVICES) == {JOB_SERVICE, FLEET_SERVICE, WORKER_SERVICE}
