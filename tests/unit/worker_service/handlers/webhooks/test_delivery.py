"""What is sent to a receiver, and what its answer means for the job."""

import asyncio
import json
import shutil
import ssl
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_service.handlers.webhooks.receiver import receiver
from worker_service.execution.invoke import invoke_async
from worker_service.execution.outcome import Failed, Reason, Succeeded
from worker_service.handler_api.errors import PermanentError
from worker_service.handler_api.job import Job
from worker_service.handlers.webhooks import delivery, post, webhook_handler
from worker_service.handlers.webhooks.delivery import LANE, NotDelivered, Sender
from worker_service.handlers.webhooks.post import MAX_HEADER_BYTES, MAX_INTERIM
from worker_service.handlers.webhooks.signature import signatures

KEYS = [b"new" * 8, b"old" * 8]
SENDER = Sender(KEYS, [ip_network("127.0.0.0/8")], clock=lambda: 1614265330.9)
EVENT = {"type": "job.completed", "timestamp": "2026-11-29T12:00:00.000Z", "data": {"id": "x", "revision": 3}}
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Some Text", "Content-Length: 5", *headers, "", "hello"]).encode()


def job(url: str, event: Any = EVENT) -> Job:
    return Job("0198f0a0-0000-7000-8000-000000000001", "webhook-delivery", 1, {"url": url, "event": event})


async def send(*answers: bytes | None, path: str = "/hook?a=b") -> dict[str, Any]:
    async with receiver(*answers) as hook:
        return await SENDER.deliver(job(f"http://127.0.0.1:{hook.port}{path}"))


async def test_one_post_is_sent_with_the_headers_of_standard_webhooks() -> None:
    async with receiver(OK) as hook:
        assert await SENDER.deliver(job(f"http://127.0.0.1:{hook.port}/hook?a=b")) == {"status": 204}
    [request] = hook.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert first == "POST /hook?a=b HTTP/1.1"
    assert json.loads(body) == EVENT
    assert headers["host"] == f"127.0.0.1:{hook.port}"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "0198f0a0-0000-7000-8000-000000000001"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == signatures(KEYS, headers["webhook-id"], 1614265330, body)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_delivery(status: int) -> None:
    assert await send(answer(status)) == {"status": status}


@pytest.mark.parametrize(
    "status", [301, 302, 307, 400, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504]
)
async def test_any_other_status_is_tried_again_as_the_policy_says(status: int) -> None:
    async with receiver(answer(status, "Location: http://127.0.0.1:1/")) as hook:
        with pytest.raises(NotDelivered, match=f"answered with status {status}$"):
            await SENDER.deliver(job(f"http://127.0.0.1:{hook.port}/"))
    assert len(hook.requests) == 1


async def test_410_gone_is_not_tried_again() -> None:
    with pytest.raises(PermanentError, match="410 Gone"):
        await send(answer(410))


async def test_retry_after_is_followed() -> None:
    with pytest.raises(NotDelivered) as caught:
        await send(answer(503, "Retry-After: 120"))
    assert caught.value.delay == 120


@pytest.mark.parametrize(
    "bytes_of_answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 2 * MAX_HEADER_BYTES,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MAX_INTERIM + 1) + OK,
    ],
    ids=["nothing", "nonsense", "cut", "endless header", "endless hints"],
)
async def test_an_answer_that_is_not_http_or_too_long_is_no_delivery(bytes_of_answer: bytes) -> None:
    with pytest.raises(NotDelivered, match="valid HTTP"):
        await send(bytes_of_answer)


async def test_interim_responses_are_skipped() -> None:
    assert await send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * MAX_INTERIM + OK) == {"status": 204}


async def test_a_body_without_an_end_is_not_waited_for() -> None:
    assert await send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nx") == {"status": 200}


async def test_a_receiver_that_does_not_answer_in_time_gets_another_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "SECONDS", 0.2)
    with pytest.raises(NotDelivered, match=r"within 0\.2 s"):
        await send(None)


async def test_a_receiver_that_cannot_be_connected_gets_another_try() -> None:
    async with receiver(OK) as hook:
        port = hook.port
    with pytest.raises(NotDelivered, match="cannot be connected"):
        await SENDER.deliver(job(f"http://127.0.0.1:{port}/"))


async def test_the_next_address_is_tried_only_if_the_first_cannot_be_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiver(b"nonsense\r\n\r\n", OK) as hook:

        async def addresses(*_arguments: Any) -> list[str]:
            return ["127.0.0.2", "127.0.0.1", "127.0.0.1"]

        monkeypatch.setattr(delivery, "checked_addresses", addresses)
        with pytest.raises(NotDelivered, match="valid HTTP"):
            await SENDER.deliver(job(f"http://a.example:{hook.port}/"))
        assert await SENDER.deliver(job(f"http://a.example:{hook.port}/")) == {"status": 204}


async def test_a_receiver_that_speaks_no_tls_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(OK) as hook:
        monkeypatch.setattr(post, "CONNECT_SECONDS", 0.3)
        with pytest.raises(NotDelivered, match=r"cannot be connected|TLS"):
            await SENDER.deliver(job(f"https://127.0.0.1:{hook.port}/"))
    assert not hook.requests


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of the host hook.test, and its key, in one file."""
    file = tmp_path / "certificate.pem"
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=hook.test"
    more = ["-addext", "subjectAltName=DNS:hook.test", "-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run(["openssl", *arguments.split(), *more], check=True, capture_output=True)
    with file.open("a") as both:
        both.write(Path(f"{file}.crt").read_text())
    return file


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
@pytest.mark.parametrize(
    ("host", "is_trusted", "is_sent"),
    [("hook.test", True, True), ("other.test", True, False), ("hook.test", False, False)],
)
async def test_only_a_receiver_with_a_valid_certificate_of_the_host_gets_the_webhook(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, host: str, is_trusted: bool, is_sent: bool
) -> None:
    async def addresses(*_arguments: Any) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(delivery, "checked_addresses", addresses)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(post, "_tls", ssl.create_default_context)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with receiver(OK, tls=context) as hook:
        wanted = job(f"https://{host}:{hook.port}/")
        if is_sent:
            assert await SENDER.deliver(wanted) == {"status": 204}
        else:
            with pytest.raises(NotDelivered, match="certificate is not valid"):
                await SENDER.deliver(wanted)
    assert bool(hook.requests) is is_sent


@pytest.mark.parametrize(
    ("payload", "field"), [({"event": {}}, "url"), ({"url": "https://a.example/", "event": []}, "event")]
)
async def test_a_payload_of_another_shape_is_refused(payload: dict[str, Any], field: str) -> None:
    result = await invoke_async(SENDER.deliver, Job("x", "webhook-delivery", 1, payload))
    assert isinstance(result.outcome, Failed)
    assert (result.outcome.reason, result.outcome.permanent) == (Reason.INVALID_INPUT, True)
    assert result.outcome.message.startswith(f"{field}: ")


@pytest.mark.parametrize(("headers", "delay"), [((), None), (("Retry-After: 7",), 7.0)])
async def test_the_worker_takes_the_delay_of_the_receiver_else_that_of_the_policy(
    headers: tuple[str, ...], delay: float | None
) -> None:
    spec = webhook_handler(KEYS, SENDER.allowed)
    async with receiver(answer(500, *headers), OK) as hook:
        wanted = job(f"http://127.0.0.1:{hook.port}/")
        failed, succeeded = [await asyncio.create_task(invoke_async(spec.function, wanted)) for _ in range(2)]
    assert isinstance(failed.outcome, Failed)
    assert (failed.outcome.reason, failed.outcome.retry_after) == (Reason.RETRY_AFTER, delay)
    assert not failed.trace
    assert isinstance(succeeded.outcome, Succeeded)
    assert (spec.lane, spec.is_async) == (LANE, True)
