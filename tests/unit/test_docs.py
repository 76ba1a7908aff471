"""The documentation names what the code has."""

import re
from pathlib import Path

import pytest
from google.rpc.code_pb2 import Code

from api_server.domain import errors
from api_server.settings import ApiServerSettings
from contract_runtime.errors import ServiceError
from local_stack.settings import StackSettings
from service_runtime.settings import ServiceSettings
from worker_service.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"


def documented(section: str) -> dict[str, str]:
    """Variable and default of each row below a heading of settings.md."""
    text = (REFERENCE / "settings.md").read_text()
    rows = text.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", rows, re.MULTILINE))


def shown(default: object) -> str:
    if isinstance(default, tuple):
        return f"`{','.join(default)}`" if default else "none"
    return f"`{default}`"


@pytest.mark.parametrize(
    ("section", "settings", "prefix"),
    [
        ("API server", ApiServerSettings, ""),
        ("Worker service", WorkerSettings, ""),
        ("Local stack", StackSettings, "STACK_"),
    ],
)
def test_every_setting_is_documented_with_its_default(
    section: str, settings: type[ServiceSettings], prefix: str
) -> None:
    rows = documented(section)
    common = set(ServiceSettings.model_fields) if not prefix else set()
    expected = {
        name: field
        for name, field in settings.model_fields.items()
        if name not in common and field.validation_alias is None
    }
    assert set(rows) == {f"{prefix}{name.upper()}" for name in expected}
    for name, field in expected.items():
        row = rows[f"{prefix}{name.upper()}"]
        # Defaults that depend on the machine are in words.
        if row.startswith("`") or row == "none":
            default = (
                field.default.relative_to(ROOT)
                if prefix and isinstance(field.default, Path)
                else field.default
            )
            assert row == shown(default), name


def test_every_error_of_the_service_is_documented() -> None:
    text = (REFERENCE / "errors.md").read_text()
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ServiceError) and "reason" in vars(kind)
    ]
    assert kinds
    for kind in kinds:
        assert re.search(rf"{Code.Name(kind.code)} \({kind.code}\).*`{kind.reason}`", text), kind


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
