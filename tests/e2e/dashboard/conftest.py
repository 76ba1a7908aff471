"""One Chromium for all tests of the gateway's pages, and a page for each test."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from local_stack.stack import Stack

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000.0
"""Milliseconds, for a busy machine."""


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and "CI" in os.environ:
        pytest.fail("Chromium is missing: `make test` installs it for root on Debian")
    if path is None:
        pytest.skip("Chromium is not installed")
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser, stack: Stack) -> AsyncIterator[BrowserContext]:
    """What tabs of one browser share."""
    context = await browser.new_context(
        base_url=stack.endpoints.jobs_url, viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(PATIENCE)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext, stack: Stack) -> AsyncIterator[Page]:
    """A tab. The test fails if a script fails there, if the page's policy refuses something, or if the page
    asks another host.
    """
    page = await context.new_page()
    wrong: list[str] = []
    own = (stack.endpoints.jobs_url, "data:", "blob:")

    def note(message: ConsoleMessage) -> None:
        # A call that the server refuses is not a fault of the page.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            wrong.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(own) else wrong.append(sent.url))
    yield page
    assert wrong == []
