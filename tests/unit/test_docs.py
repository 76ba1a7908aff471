"""The documentation agrees with the code."""

import re
import tomllib
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
    """The default of each variable in a section of settings.md."""
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
        ("Both services", ServiceSettings, ""),
        ("API server", ApiServerSettings, ""),
        ("Worker service", WorkerSettings, ""),
        ("Local stack", StackSettings, "STACK_"),
    ],
)
def test_every_setting_is_documented_with_its_default(
    section: str, settings: type[ServiceSettings], prefix: str
) -> None:
    rows = documented(section)
    common = set() if prefix or settings is ServiceSettings else set(ServiceSettings.model_fields)
    expected = {
        name: field
        for name, field in settings.model_fields.items()
        if name not in common and field.validation_alias is None
    }
    assert set(rows) == {f"{prefix}{name.upper()}" for name in expected}
    for name, field in expected.items():
        row = rows[f"{prefix}{name.upper()}"]
        # Defaults that depend on the machine are described in words.
        if row.startswith("`") or row == "none":
            default = (
                field.default.relative_to(ROOT)
                if prefix and isinstance(field.default, Path)
                else field.default
            )
            assert row == shown(default), name


def test_every_error_of_the_api_server_is_documented() -> None:
    text = (REFERENCE / "errors.md").read_text()
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ServiceError) and "reason" in vars(kind)
    ]
    assert kinds
    for kind in kinds:
        assert re.search(rf"{Code.Name(kind.code)} \({kind.code}\).*`{kind.reason}`", text), kind


PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if not target.startswith("http"):
            linked = page.parent / target if target else page
            assert linked.exists(), target
            if anchor and linked.suffix == ".md":
                assert anchor in anchors(linked), f"{target}#{anchor}"


def pages_of_the_site(nav: object) -> list[str]:
    """The pages that the navigation of the site names."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else []
    return [page for each in inner for page in pages_of_the_site(each)]


def test_every_page_is_in_the_site_in_the_index_and_in_llms_txt() -> None:
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    site = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    index, machines = ((docs / name).read_text() for name in ("index.md", "llms.txt"))

    assert sorted(pages_of_the_site(site)) == sorted(pages)
    assert {"index.md", *re.findall(r"\]\(([^)]*)\)", index)} == pages
    assert set(re.findall(r"\]\(([^)]*)\)", machines)) == {
        page.replace(".md", ".html") for page in pages - {"index.md"}
    }
