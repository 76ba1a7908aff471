"""Every page: what it shows, that people with assistive technology can use it, and that it fits a phone."""

from typing import Literal

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.conftest import UNWORKED
from tests.e2e.dashboard.jobs import completed, failed
from tests.e2e.jobs_api import create
from tests.gate import Gate

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


async def has_no_violations(page: Page) -> None:
    """In both themes."""
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        await page.emulate_media(color_scheme=scheme)
        found = await Axe().run(page)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"


async def fits_a_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 780})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/ui/", ["Jobs per minute", "Health", f"No worker runs {UNWORKED}.", "Latest failures"]),
        ("/ui/jobs?labels=page%3Djobs", ["HANDLER_ERROR", "page=jobs", "Submit a job"]),
        ("/ui/fleet", ["worker-1", "Takes jobs", "Stop all"]),
        ("/ui/types", ["Submit a job", "compute", "No worker"]),
    ],
)
async def test_a_page_shows_what_it_is_for(
    page: Page, client: httpx.Client, path: str, shown: list[str]
) -> None:
    create(client, UNWORKED, {})
    completed(client, labels={"page": "jobs"})
    failed(client, labels={"page": "jobs"})

    await page.goto(path)

    for text in shown:
        await expect(page.get_by_text(text).first).to_be_visible()
    await has_no_violations(page)
    await fits_a_phone(page)


async def test_the_page_of_a_failed_job(page: Page, client: httpx.Client) -> None:
    job = failed(client, labels={"team": "search"})

    await page.goto(f"/ui/jobs/{job['id']}")

    for text in ("HANDLER_ERROR", "Attempt 1", "Traceback", "1 failure of 1 allowed", "team=search"):
        await expect(page.get_by_text(text).first).to_be_visible()
    await expect(page.get_by_role("region", name="Payload")).to_contain_text(
        '"text": "The bucket does not exist"'
    )
    await has_no_violations(page)
    await fits_a_phone(page)


async def test_a_job_that_does_not_exist(page: Page) -> None:
    await page.goto("/ui/jobs/0198f0a0-0000-7000-8000-000000000001")

    await expect(page.get_by_text("There is no job 0198f0a0-0000-7000-8000-000000000001")).to_be_visible()


async def test_what_is_in_a_job_stays_text(page: Page, client: httpx.Client, gate: Gate) -> None:
    job = failed(client, HOSTILE, labels={"team": HOSTILE})
    said = create(
        client, "gated", {**gate.payload, "say": HOSTILE, "progress": [7, HOSTILE], HOSTILE: HOSTILE}
    )

    for path in (f"/ui/jobs/{job['id']}", "/ui/jobs", "/ui/", f"/ui/jobs/{said['id']}"):
        await page.goto(path)
        await expect(page.get_by_text("window.hacked").first).to_be_visible()
        assert await page.evaluate("window.hacked") is None
        assert await page.locator("main img, main script").count() == 0


def test_every_answer_of_the_dashboard_forbids_frames_and_foreign_scripts(jobs: httpx.Client) -> None:
    answer = jobs.get("/ui/")

    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    again = jobs.get("/ui/", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "location" not in again.headers
    home = jobs.get("/")
    assert (home.status_code, home.headers["location"]) == (302, "/ui/")
    assert jobs.head("/ui/js/main.js").headers["content-type"].startswith("text/javascript")
    script = jobs.get("/ui/js/main.js", headers={"accept-encoding": "gzip"})
    assert script.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", ["state", "start", "stop"])
def test_another_sites_page_cannot_call_the_workers_port_by_the_dashboard(
    jobs: httpx.Client, path: str
) -> None:
    """It cannot send the header: that needs a preflight, which is refused."""
    url, method = f"/ui/api/{path}", "GET" if path == "state" else "POST"

    assert jobs.request(method, url).status_code == 404
    asked = {"origin": "https://evil.example", "access-control-request-method": method}
    preflight = jobs.options(url, headers={**asked, "access-control-request-headers": "x-requested-with"})
    assert not preflight.is_success
    assert "access-control-allow-origin" not in preflight.headers
