"""One stack for all scenarios, and a table of all figures at the end."""

from collections.abc import Callable, Iterator

import pytest

from local_stack.stack import Stack
from tests.faults.cluster import make_stack
from tests.faults.figures import HEADLINE, RULE
from tests.faults.settings import FaultSettings
from tests.fork_server import ForkServer
from tests.summary import add_lines


@pytest.fixture(scope="session")
def fault_settings() -> FaultSettings:
    return FaultSettings()


@pytest.fixture(scope="module")
def fault_stack(
    fault_settings: FaultSettings, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    stack = make_stack(tmp_path_factory.mktemp("faults"), fault_settings.lease, fork_server.spawn)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture
def show(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line at once. Lines of the table are printed again at the end."""

    def print_line(line: str) -> None:
        if line.startswith("|"):
            add_lines(request.config, "faults", HEADLINE, RULE, line)
        with capfd.disabled():
            print(f"\n{line}", end="", flush=True)  # noqa: T201 - for people at a terminal

    return print_line
