"""The running system, shared by all tests that need it."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import settings
from xdist.remote import Producer

from local_stack.stack import Stack
from local_stack.testing import running_stack
from tests.e2e.rest import PATIENCE
from tests.fork_server import ForkServer
from tests.gate import Gate
from tests.groups import GroupScheduling, group_of, in_order_of_start
from tests.summary import Summary

# The time of an example depends more on the machine than on the code. Each run has new examples, so a few are
# enough for one run. `make test-properties` has more.
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("quick")

JOB_TYPES = (
    "compute,file,blockchain,data,"
    "gated,gated-thread,gated-process,stubborn,broken,flaky,suicidal,slow,deadly,blocking,webhook-delivery,"
    "thumbnail,reader,typed"
)
"""The built-in types, and those of tests/handlers.py and examples/thumbnails/."""
WEBHOOK_SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + base64.b64encode(b"n" * 32).decode())
"""With which the workers sign webhooks: two, as while they are changed."""
SHARED_STACK = pytest.StashKey[Stack]()
UNWORKED = "unworked"
"""A type that no worker handles: such a job changes only when a test changes it."""
READERS_TYPES = ("word-count", "invoice")
"""The types of the handlers that readers of the docs write. The tests of the pages start workers for them."""
API_SERVER = {
    "JOB_TYPES": ",".join((JOB_TYPES, UNWORKED, *READERS_TYPES)),
    # Short, so that tests of recovery take seconds.
    "JOB_LEASE": "3",
    "HEARTBEAT_INTERVAL": "0.5",
    # No test waits long for a job that does not end.
    "MAX_WAIT": "20",
    "WATCH_HEARTBEAT": "0.5",
    # Many topics with the usual 12 partitions each would cost Kafka and the workers CPU time all the time.
    "KAFKA_PARTITIONS": "4",
}
WORKER = {
    "WORKER_JOB_TYPES": JOB_TYPES,
    "WORKER_HANDLERS": "tests.handlers,examples.thumbnails.thumbnail_handlers",
    "WORKER_DRAIN_TIMEOUT": "3",
    "WEBHOOK_SECRET": ",".join(WEBHOOK_SECRETS),
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    # Idle workers cost less CPU time.
    "KAFKA_FETCH_MAX_WAIT": "0.5",
}


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_stack(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Stack]:
    folder, handlers = tmp_path_factory.mktemp("stack"), WORKER["WORKER_HANDLERS"]
    with running_stack(folder, handlers, {**API_SERVER, **WORKER}, fork_server.spawn) as stack:
        pytestconfig.stash[SHARED_STACK] = stack
        yield stack


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    """Everything, up, on free ports. A test that stops, kills or freezes a part sets it right again."""
    shared_stack.up()
    return shared_stack


@pytest.fixture
def jobs(stack: Stack) -> Iterator[httpx.Client]:
    """A REST client of the jobs port; likewise `workers`."""
    with httpx.Client(base_url=stack.endpoints.jobs_url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def workers(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.endpoints.workers_url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.open()


@pytest.fixture
def file_root(stack: Stack) -> Path:
    """The folder that file jobs may read."""
    return stack.settings.file_root


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Summary())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the shared stack after a group of tests: idle servers cost CPU time that others need."""
    stack = item.config.stash.get(SHARED_STACK, None)
    if stack is not None and (nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid)):
        stack.down()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = in_order_of_start(items)
