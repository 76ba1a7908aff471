"""The list of jobs: filters in the address, and changes of many jobs."""

from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.conftest import UNWORKED
from tests.e2e.dashboard.jobs import cancel, completed, failed
from tests.e2e.jobs_api import create, get
from tests.waiting import until


@pytest.fixture
def group() -> str:
    """A label that only the jobs of one test have."""
    return f"group={uuid4().hex[:8]}"


def labels(group: str) -> dict[str, str]:
    return {"labels": dict([group.split("=")])}  # type: ignore[dict-item] # - a pair


async def rows(page: Page, count: int) -> None:
    await expect(page.locator("tbody tr")).to_have_count(count)


@pytest.mark.slow
async def test_filters_are_in_the_address(page: Page, client: httpx.Client, group: str) -> None:
    failed(client, **labels(group))
    completed(client, **labels(group))
    create(client, UNWORKED, {}, **labels(group))
    await page.goto("/ui/jobs")

    await page.get_by_label("Find a job or add a filter").fill(group)
    await page.keyboard.press("Enter")
    await rows(page, 3)
    await expect(page.get_by_text("3 jobs")).to_be_visible()
    await page.get_by_role("button", name="Failed").click()
    await rows(page, 1)
    await page.get_by_role("button", name="Queued").click()
    await rows(page, 2)
    assert page.url.endswith(f"/ui/jobs?statuses=failed&statuses=queued&labels={group.replace('=', '%3D')}")

    await page.reload()
    await rows(page, 2)
    await page.get_by_text("Type", exact=True).first.click()
    await page.get_by_label(UNWORKED, exact=True).check()
    await rows(page, 1)
    await page.go_back()
    await rows(page, 2)
    await page.get_by_role("button", name=f"Remove the filter label: {group}").click()
    await page.get_by_role("button", name="Remove all filters").wait_for(state="detached")


@pytest.mark.slow
async def test_an_id_leads_to_its_job(page: Page, client: httpx.Client) -> None:
    job = completed(client)
    await page.goto("/ui/jobs")

    await page.get_by_label("Find a job or add a filter").fill(job["id"])
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="compute job")).to_be_visible()


async def test_jobs_come_and_go_as_they_happen(page: Page, client: httpx.Client, group: str) -> None:
    await page.goto(f"/ui/jobs?statuses=queued&labels={group}")
    await expect(page.get_by_text("No job matches these filters.")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()

    job = create(client, UNWORKED, {}, **labels(group))
    await rows(page, 1)
    cancel(client, job)
    await expect(page.get_by_text("No job matches these filters.")).to_be_visible()


async def test_selected_jobs_are_changed_after_a_question(
    page: Page, client: httpx.Client, group: str
) -> None:
    jobs = [create(client, UNWORKED, {}, **labels(group)) for _ in range(3)]
    ended = completed(client, **labels(group))
    await page.goto(f"/ui/jobs?labels={group}")
    await rows(page, 4)

    await page.get_by_label("Select all jobs of this page").check()
    await page.get_by_role("button", name="Cancel 3").click()
    await expect(page.get_by_text("3 of the 4 selected would be cancelled")).to_be_visible()
    assert {get(client, job["id"])["status"] for job in jobs} == {"queued"}
    await page.get_by_role("button", name="Cancel 3 jobs").click()

    await expect(page.get_by_text("3 of 3 cancelled.")).to_be_visible()
    await page.get_by_role("dialog").get_by_role("button", name="Close").click()
    assert {get(client, job["id"])["status"] for job in jobs} == {"cancelled"}
    assert get(client, ended["id"])["status"] == "completed"


async def test_all_that_match_are_changed_after_a_dry_run(
    page: Page, client: httpx.Client, group: str
) -> None:
    jobs = [failed(client, **labels(group)) for _ in range(2)]
    await page.goto(f"/ui/jobs?labels={group}")
    await rows(page, 2)

    await page.get_by_role("button", name="Retry all jobs that match").click()
    await expect(page.get_by_role("dialog")).to_contain_text("2 jobs would be queued again.")
    assert {get(client, job["id"])["attempt"] for job in jobs} == {1}
    await page.get_by_role("button", name="Retry 2 jobs").click()

    await expect(page.get_by_label("Operations")).to_contain_text("has finished: 2 changed")
    await until(lambda: {get(client, job["id"])["attempt"] for job in jobs} == {2}, "both have run again")


@pytest.mark.slow
async def test_nothing_to_change_is_said(page: Page, client: httpx.Client, group: str) -> None:
    completed(client, **labels(group))
    await page.goto(f"/ui/jobs?labels={group}")
    await rows(page, 1)

    await page.get_by_role("button", name="Cancel all jobs that match").click()

    await expect(page.get_by_text("No queued or processing job matches the filters.")).to_be_visible()
