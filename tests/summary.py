"""Lines that tests add to the end of the run's output, also those of tests that run in another process."""

import pytest
from xdist.workermanage import WorkerController

Lines = dict[str, list[str]]
"""By the title of their section."""
LINES = pytest.StashKey[Lines]()
OUTPUT = "summary"


def add_lines(config: pytest.Config, title: str, *lines: str) -> None:
    """Show these lines at the end, in the section of this title, each line once."""
    section = config.stash.setdefault(LINES, {}).setdefault(title, [])
    section += [line for line in dict.fromkeys(lines) if line not in section]


class Summary:
    """A plugin. The process that runs tests sends its lines to the one that has the terminal."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output: dict[str, Lines] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[OUTPUT] = session.config.stash.get(LINES, {})

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        # A process that died has sent nothing.
        sent: Lines = getattr(node, "workeroutput", {}).get(OUTPUT, {})
        for title, lines in sent.items():
            add_lines(node.config, title, *lines)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        for title, lines in config.stash.get(LINES, {}).items():
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.line(line)
