"""The dashboard asks for a token, keeps it for the session, and shares it with its other tabs."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.e2e.dashboard.conftest import PATIENCE, browser  # noqa: F401 - a fixture
from tests.security.conftest import Guarded

pytestmark = pytest.mark.slow


@pytest.fixture
async def context(browser: Browser, guarded: Guarded) -> AsyncIterator[BrowserContext]:  # noqa: F811 - pytest hands the fixture over
    context = await browser.new_context(base_url=guarded.stack.endpoints.jobs_url)
    context.set_default_timeout(PATIENCE)
    yield context
    await context.close()


async def use(page: Page, token: str) -> None:
    await page.locator("#token").fill(token)
    await page.get_by_role("button", name="Use it").click()


async def test_a_token_is_asked_for_kept_and_shared(context: BrowserContext, guarded: Guarded) -> None:
    page = await context.new_page()
    await page.goto("/ui/fleet")
    await use(page, guarded.invalid["expired"])
    await expect(page.get_by_text("The server does not take this token")).to_be_visible()
    token = guarded.tokens["reader"]
    await use(page, token)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(page.get_by_text("guarded").first).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)

    other = await context.new_page()
    await other.goto("/ui/jobs")
    await expect(other.get_by_text("Live", exact=True)).to_be_visible()
    await expect(other.get_by_role("dialog")).to_have_count(0)

    assert await page.evaluate("Object.values(sessionStorage)") == [token]
    assert token not in await page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")


async def test_what_the_role_may_not_do_is_said(context: BrowserContext, guarded: Guarded) -> None:
    page = await context.new_page()
    await page.goto("/ui/fleet")
    await use(page, guarded.tokens["reader"])
    await page.get_by_role("button", name="Stop all…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop the fleet").click()
    await expect(page.get_by_text("needs a token with the role operator").first).to_be_visible()
