"""Webhooks through the whole system, to a receiver on this machine."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import UNWORKED, WEBHOOK_SECRETS
from tests.e2e.jobs_api import create, wait_until_ended
from tests.e2e.rest import COMPUTE, error_of
from tests.waiting import wait_for

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "receive-webhooks.md").read_text()


def verify_of_the_page() -> Callable[[str, Mapping[str, str], bytes], bool]:
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(program, "receive-webhooks.md", "exec"), names)  # noqa: S102 - it is our own page
    verify: Callable[[str, Mapping[str, str], bytes], bool] = names["verify"]
    return verify


verify = verify_of_the_page()


@dataclass
class Receiver:
    """`answers`: status and headers of the first answers. All others are 204."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.received.append(({name.lower(): value for name, value in request.headers.items()}, body))
        status, headers = self.answers.pop(0) if self.answers else (204, {})
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.answer(self)

        def log_message(self, *_arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def webhook_of(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job that delivers the webhook, once it has ended."""

    def found() -> Any:
        return client.get("/jobs", params={"labels": f"webhook.job={job['id']}"}).json()["jobs"]

    [webhook] = wait_for(found, "the webhook is stored")
    return wait_until_ended(client, webhook["id"])


def event_of(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": f"job.{job['status']}",
        "timestamp": job["endTime"],
        "data": {name: job[name] for name in ("id", "type", "status", "revision")},
    }


def test_a_receiver_that_fails_twice_gets_the_webhook_of_a_job_in_the_third_try(
    client: httpx.Client, receiver: Receiver
) -> None:
    receiver.answers = [(503, {"Retry-After": "0"}), (500, {"Retry-After": "1"})]
    job = create(client, "compute", COMPUTE["payload"], notify={"url": receiver.url})
    assert job["notify"] == {"url": receiver.url}
    assert not job.get("warnings")
    ended = wait_until_ended(client, job["id"])
    webhook = webhook_of(client, ended)
    assert (webhook["status"], webhook["result"], webhook["failures"]) == ("completed", {"status": 204}, 2)
    assert len(receiver.received) == 3
    for headers, body in receiver.received:
        assert headers["webhook-id"] == webhook["id"]
        assert all(verify(secret, headers, body) for secret in WEBHOOK_SECRETS)
        assert not verify(WEBHOOK_SECRETS[0], headers, body + b" ")
        assert not verify(WEBHOOK_SECRETS[0], {**headers, "webhook-timestamp": "1"}, body)
        assert json.loads(body) == event_of(ended)


def test_a_failed_and_a_cancelled_job_of_a_batch_are_notified_and_again_after_retry(
    client: httpx.Client, receiver: Receiver
) -> None:
    notify = {"url": receiver.url}
    wanted = [
        {"type": "compute", "payload": {}, "notify": notify},
        {"type": UNWORKED, "payload": {}, "notify": notify},
    ]
    answer = client.post("/jobs:batchCreate", json={"requests": wanted})
    failing, waiting = (each["job"] for each in answer.json()["outcomes"])
    assert client.post(f"/jobs/{waiting['id']}:cancel", json={}).is_success
    failed, cancelled = (wait_until_ended(client, job["id"]) for job in (failing, waiting))
    assert [webhook_of(client, job)["status"] for job in (failed, cancelled)] == ["completed"] * 2
    assert client.post(f"/jobs/{failed['id']}:retry", json={}).is_success
    again = wait_until_ended(client, failed["id"])
    wait_for(lambda: len(receiver.received) == 3, "the job is notified again")
    events = [json.loads(body) for _, body in receiver.received]
    assert all(event_of(job) in events for job in (failed, cancelled, again))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://169.254.169.254/latest/meta-data", "not public"),
        ("http://[::ffff:10.0.0.1]/", "not public"),
        ("http://a..example/", "url: must have a valid host"),
    ],
)
def test_a_webhook_is_not_sent_to_a_private_address_or_a_wrong_host(
    client: httpx.Client, url: str, problem: str
) -> None:
    job = create(client, "compute", COMPUTE["payload"], notify={"url": url})
    webhook = webhook_of(client, job)
    assert (webhook["status"], webhook["failures"]) == ("failed", 1)
    assert problem in webhook["error"]["message"]


def test_a_receiver_that_is_gone_gets_no_more_webhooks(client: httpx.Client, receiver: Receiver) -> None:
    receiver.answers = [(410, {})]
    webhook = webhook_of(client, create(client, "compute", COMPUTE["payload"], notify={"url": receiver.url}))
    assert (webhook["status"], webhook["error"]["reason"]) == ("failed", "PERMANENT_ERROR")
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"notify": {"url": "ftp://a.example/"}}, "notify.url", "must be an ASCII URL"),
        ({"notify": {"url": "https://user:x@a.example/"}}, "notify.url", "no user name"),
        ({"notify": {"url": "https://a.example/" + "x" * 1007}}, "notify.url", "1024"),
        ({"notify": {}}, "notify.url", "must be an ASCII URL"),
        ({"type": "webhook-delivery"}, "type", "only the server itself"),
    ],
)
def test_a_wrong_request_is_refused_with_the_name_of_the_field(
    client: httpx.Client, fields: dict[str, Any], field: str, problem: str
) -> None:
    error = error_of(client.post("/jobs", json={**COMPUTE, **fields}), 400, 3)
    [violation] = error["details"][0]["fieldViolations"]
    assert violation["field"] == field
    assert problem in violation["description"]
