"""The files in docs/howto/handlers-with-packages.md fit the project's own Compose file and Dockerfile."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from worker_service.handler_api.handler import handlers_in

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "howto" / "handlers-with-packages.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
WORKER = COMPOSE["services"]["worker-service"]
[MOUNTED, BUILT] = [
    yaml.safe_load(text)["services"] for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
]
[DOCKERFILE] = re.findall(r"```dockerfile\n(.*?)```", PAGE, re.DOTALL)


def test_the_image_starts_from_that_of_the_worker() -> None:
    first = DOCKERFILE.splitlines()[0]
    assert first == f"FROM {WORKER['image']} AS {BUILT['worker-service']['build']['target']}"
    service = (ROOT / "Dockerfile").read_text()
    [user] = re.findall(r"^USER (\w+)$", service.partition("AS api-server")[0], re.MULTILINE)
    assert DOCKERFILE.splitlines()[-1] == f"USER {user}"


def test_the_overrides_name_the_worker_and_its_folder() -> None:
    assert MOUNTED.keys() == BUILT.keys() == {"worker-service"}
    assert ":/app/word_handlers.py:ro" in MOUNTED["worker-service"]["volumes"][0]
    assert re.search(r"^WORKDIR /app$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_compose_leaves_the_modules_to_the_image_unless_they_are_set() -> None:
    assert WORKER["environment"]["WORKER_HANDLERS"] is None


def test_the_handler_declares_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # Pillow is not a package of this project.
    pillow, module = ModuleType("PIL"), ModuleType("thumbnails")
    vars(pillow).update(Image=None, UnidentifiedImageError=ValueError)
    monkeypatch.setitem(sys.modules, "PIL", pillow)
    monkeypatch.setitem(sys.modules, "thumbnails", module)
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, vars(module))  # noqa: S102 - the page's own code
    [spec] = handlers_in(module)
    assert (spec.type, spec.run_in) == ("thumbnail", "process")
    assert callable(spec.call)
