"""The programs in docs/howto/use-the-python-client.md print the output that the page gives."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.services import PYTHON_PATH
from local_stack.stack import Stack

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "use-the-python-client.md").read_text()
PROGRAMS: list[tuple[str, str]] = re.findall(r"```python\n(.*?)```\n\nIt prints (.*?)\.\n", PAGE, re.DOTALL)


def test_the_page_gives_the_output_of_each_program() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 0


@pytest.mark.parametrize(("program", "output"), PROGRAMS, ids=range(1, len(PROGRAMS) + 1))
def test_each_program_prints_the_output_on_the_page(stack: Stack, program: str, output: str) -> None:
    program = program.replace("127.0.0.1:3000", stack.endpoints.jobs_address)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=PYTHON_PATH,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == re.findall(r"`(.*?)`", output)
