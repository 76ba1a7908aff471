"""A place for the commands of the page."""

from pathlib import Path

import pytest

from tests.stubs.workplace import Workplace


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)
