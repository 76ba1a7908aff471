"""A job, followed and changed at its page."""

import re
from pathlib import Path

import httpx
from playwright.async_api import Page, expect

from tests.conftest import UNWORKED
from tests.e2e.dashboard.jobs import failed
from tests.e2e.jobs_api import create, get
from tests.gate import Gate


async def status_is(page: Page, word: str) -> None:
    await expect(page.locator(".head .status")).to_have_text(word)


async def test_a_job_passes_through_its_states_while_one_looks(
    page: Page, client: httpx.Client, gate: Gate
) -> None:
    await page.goto("/ui/jobs?types=gated")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    job = create(client, "gated", {**gate.payload, "say": "good morning", "progress": [42, "page 42 of 100"]})

    row = page.locator("tr", has=page.get_by_label(f"Job {job['id']}", exact=True))
    await expect(row).to_contain_text("Running")
    await expect(row).to_contain_text("page 42 of 100")
    await row.get_by_label(f"Job {job['id']}", exact=True).click()

    await status_is(page, "Running")
    await expect(page.get_by_text("42 %")).to_be_visible()
    await expect(page.get_by_label("Log")).to_contain_text("printed good morning")
    gate.open()
    await status_is(page, "Completed")
    await expect(page.get_by_role("region", name="Result")).to_contain_text('"attempt": 1')
    await expect(page.locator(".timeline .succeeded")).to_be_visible()
    await page.go_back()
    await expect(row).to_contain_text("Completed")


def write(script: Path, line: str) -> None:
    with script.open("a") as lines:
        lines.write(f"{line}\n")


async def test_lines_of_the_log_appear_while_the_handler_runs(
    page: Page, client: httpx.Client, tmp_path: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    script = tmp_path / "script"
    write(script, "good morning")
    job = create(client, "reader", {"gate": str(script)})
    log = page.get_by_label("Log")
    try:
        await page.goto(f"/ui/jobs/{job['id']}")
        await expect(log).to_contain_text("good morning")
        await expect(log).not_to_contain_text("good night")
        write(script, "good night")
        await expect(log).to_contain_text("good night")
        await status_is(page, "Running")
        assert not [url for url in asked if f"{job['id']}/log" in url]
        assert len([url for url in asked if "includeLog=true" in url]) == 1
    finally:
        write(script, "end")
    await status_is(page, "Completed")
    await expect(page.get_by_text("2 entries")).to_be_visible()


async def test_a_waiting_job_says_why_and_is_cancelled_and_retried(page: Page, client: httpx.Client) -> None:
    job = create(client, UNWORKED, {})
    await page.goto(f"/ui/jobs/{job['id']}")
    await expect(page.get_by_label("Why it waits")).to_contain_text(re.compile("No live worker takes jobs"))

    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Let it go on").click()
    await status_is(page, "Queued")
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Cancel the job").click()
    await status_is(page, "Cancelled")
    assert get(client, job["id"])["status"] == "cancelled"

    await page.get_by_role("button", name="Retry").click()
    await status_is(page, "Queued")


async def test_retries_are_on_the_time_line(page: Page, client: httpx.Client) -> None:
    job = failed(client)
    await page.goto(f"/ui/jobs/{job['id']}")
    await expect(page.locator(".timeline .errored")).to_have_count(1)

    await page.get_by_role("button", name="Retry").click()

    await expect(page.locator(".timeline .errored")).to_have_count(2)
    # The log is followed again after the end of the first attempt.
    await expect(page.locator(".log li.break")).to_have_text(
        [re.compile("Attempt 1"), re.compile("Attempt 2")]
    )
    await status_is(page, "Failed")
