"""The stream of changes: one for all tabs, and without a gap after an outage."""

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, Request, expect

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.dashboard.jobs import cancel
from tests.e2e.jobs_api import create

pytestmark = pytest.mark.slow


async def test_tabs_share_one_stream_and_another_tab_takes_it_over(
    context: BrowserContext, page: Page, client: httpx.Client
) -> None:
    streams: list[Request] = []
    context.on("request", lambda request: streams.append(request) if ":watch" in request.url else None)
    await page.goto("/ui/jobs")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    other = await context.new_page()
    await other.goto(f"/ui/jobs?types={UNWORKED}")
    await expect(other.get_by_text("Live", exact=True)).to_be_visible()

    job = create(client, UNWORKED, {})
    await expect(other.get_by_label(f"Job {job['id']}", exact=True)).to_be_visible()
    assert len(streams) == 1

    await page.close()
    job = create(client, UNWORKED, {})
    await expect(other.get_by_label(f"Job {job['id']}", exact=True)).to_be_visible()
    assert len(streams) == 2
    assert "resumeToken=" in streams[1].url


async def test_an_outage_is_said_and_nothing_of_it_is_missed(
    page: Page, client: httpx.Client, stack: Stack
) -> None:
    job = create(client, UNWORKED, {})
    await page.goto(f"/ui/jobs?types={UNWORKED}")
    row = page.locator("tr", has=page.get_by_label(f"Job {job['id']}", exact=True))
    await expect(row).to_contain_text("Queued")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()

    stack.stop("gateway")
    try:
        await expect(page.locator("#banner")).to_contain_text("Offline")
        await expect(row).to_contain_text("Queued")
    finally:
        stack.start("gateway")
    cancel(client, job)

    await expect(row).to_contain_text("Cancelled")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(page.locator("#banner")).to_be_empty()
