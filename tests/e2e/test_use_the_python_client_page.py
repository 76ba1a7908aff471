"""The programs of docs/howto/use-the-python-client.md print what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.services import PYTHON_PATH
from local_stack.stack import Stack

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "use-the-python-client.md").read_text()
PROGRAMS: list[tuple[str, str]] = re.findall(r"```python\n(.*?)```\n\nIt prints (.*?)\.\n", PAGE, re.DOTALL)


def test_each_program_says_what_it_prints() -> None:
    assert len(PROGRAMS) == PAGE.count("```python") > 0


@pytest.mark.parametrize(("program", "told"), PROGRAMS, ids=["one", "many", "failing"])
def test_the_page_s_programs_print_what_it_says(stack: Stack, program: str, told: str) -> None:
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
    assert run.stdout.splitlines() == re.findall(r"`(.*?)`", told)
