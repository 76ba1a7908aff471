"""The rule of a webhook's URL: the same in the contract and in the settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.errors import InvalidArgument
from contract_runtime.structs import dict_to_struct
from contract_runtime.webhooks import MAX_URL, is_webhook_url
from job_client._gen.jobs.v1 import job_service_pb2, notify_pb2
from service_runtime.validation import ContractValidator

validator = ContractValidator()
LONGEST = "https://a.example/".ljust(MAX_URL, "x")


def violations(url: str) -> list[str]:
    request = job_service_pb2.CreateRequest(
        type="compute", payload=dict_to_struct({}), notify=notify_pb2.Notify(url=url)
    )
    try:
        validator.check(request)
    except InvalidArgument as error:
        return [f"{each.field} {each.description}" for each in error.violations]
    return []


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "http://a.example:1/",
        "https://a.example:65535/hook?a=b&c=%20,d",
        "https://a.example?a=b",
        "https://a.example./",
        "https://xn--bcher-kva.example/hook",
        "http://127.0.0.1:8080/hook",
        "http://[::1]:8080/hook",
        "http://a_b.internal/~x/(y);z=1",
        LONGEST,
    ],
)
def test_a_url_of_a_host_is_taken(url: str) -> None:
    assert violations(url) == []
    assert is_webhook_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example/hook",
        "ftp://a.example/",
        "file:///etc/passwd",
        "HTTPS://a.example/",
        "https://",
        "https:///hook",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example/#part",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:/",
        "https://a.example /",
        "https://a.example/a b",
        "https://a.example/\r\nHost: b.example",
        "https://a.example\\@b.example/",
        "https://a.example/hook\n",
        "https://bücher.example/",
        "https://-a.example/",
        "https://[::1/",
        "https://a.example/<x>",
        LONGEST + "x",
    ],
)
def test_another_url_is_refused_with_the_name_of_the_field(url: str) -> None:
    assert all(each.startswith("notify.url must be ") for each in violations(url))
    assert violations(url)
    assert not is_webhook_url(url)


NEARLY_URLS = st.from_regex(r"https?://[\[\]!-~]{0,12}(:[0-9]{0,6})?[/?#]?[ -~]{0,6}", fullmatch=True)


@given(NEARLY_URLS | st.text(max_size=30))
def test_the_contract_and_the_settings_have_the_same_rule(url: str) -> None:
    assert is_webhook_url(url) == (violations(url) == [])
