"""The contract's limits, where programs have them a second time."""

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from api_server.settings import ApiServerSettings
from contract_runtime import limits
from contract_runtime.channels import CHANNEL_OPTIONS
from contract_runtime.structs import MAX_BYTES
from service_runtime.server import OPTIONS


def test_servers_and_channels_have_the_sizes_of_the_contract() -> None:
    channel, server = dict(CHANNEL_OPTIONS), dict(OPTIONS)
    received, sent = "grpc.max_receive_message_length", "grpc.max_send_message_length"

    assert server[received] == channel[sent] == 8 * 1024 * 1024
    assert server[sent] == channel[received] == 16 * 1024 * 1024


@pytest.mark.parametrize("service", [limits.JOB_SERVICE, limits.WORKER_SERVICE], ids=lambda each: each.name)
def test_the_gateway_waits_longer_than_the_servers_own_deadline(service: ServiceDescriptor) -> None:
    deadline = ApiServerSettings.model_fields["request_deadline"].default

    for method in service.methods:
        # A stream has no time-out, here and there.
        assert limits.timeout_of(method, service) > deadline or method.server_streaming


def test_a_create_with_the_largest_payload_is_kept_for_repeating() -> None:
    repeats = limits.repeats_of(limits.JOB_SERVICE.methods_by_name["Create"])

    assert repeats is not None
    assert repeats.max_bytes == 2 * MAX_BYTES


def test_fleet_service_has_no_time_out_for_the_gateway() -> None:
    assert not limits.limits_of(limits.FLEET_SERVICE).HasField("timeout")


@pytest.mark.parametrize("name", ["Create", "Get"])
def test_the_gateway_has_its_usual_time_left_after_the_longest_wait(name: str) -> None:
    method = limits.JOB_SERVICE.methods_by_name[name]
    max_wait = ApiServerSettings.model_fields["max_wait"].default

    assert limits.longest_wait(method, limits.JOB_SERVICE) == max_wait == 60
