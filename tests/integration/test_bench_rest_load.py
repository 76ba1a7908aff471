"""The benchmark's load generator for REST, with real connections."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from bench.load.rest_load import RestLoadFailed, create_over_rest
from bench.work import text

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="only `make bench` needs wrk")
REFUSED = text(9)


class Server(ThreadingHTTPServer):
    """`inputs` has the input of each job that was submitted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.inputs: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        job_text = json.loads(body)["payload"]["input"]
        self.server.inputs.append(job_text)
        self.send_response(503 if job_text == REFUSED else 201)
        answer = b"no such service" if job_text == REFUSED else b"{}"
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None:
        """Be silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_job_is_submitted_once(server: Server) -> None:
    submitted = create_over_rest(f"127.0.0.1:{server.server_port}", 1000, 20, connections=3)

    assert sorted(server.inputs) == [text(number) for number in range(1000, 1020)]
    assert submitted.jobs == 20


def test_the_first_refused_call_ends_the_load_with_the_answer(server: Server) -> None:
    with pytest.raises(RestLoadFailed, match="HTTP status 503: no such service"):
        create_over_rest(f"127.0.0.1:{server.server_port}", 0, 1_000_000, connections=3)
