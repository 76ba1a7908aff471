"""The page that shows the API document, in Chromium."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Page, async_playwright

from local_stack.stack import Stack

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000.0
"""Milliseconds, for a busy machine."""


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    """A tab. The test fails if a script fails there, or if it asks another host."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and "CI" in os.environ:
        pytest.fail("Chromium is missing")
    if path is None:
        pytest.skip("Chromium is not installed")
    wrong: list[str] = []
    asked: list[str] = []
    home = stack.endpoints.jobs_url
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page(base_url=home)
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda sent: None if sent.url.startswith((home, "data:")) else wrong.append(sent.url)
        )
        yield page
        await browser.close()
    assert wrong == []
    assert [url for url in asked if not url.startswith((home, "data:"))] == []


async def test_the_page_shows_each_operation_and_is_accessible(page: Page) -> None:
    await page.goto("/api#get-/jobs/-id-")
    await page.get_by_role("navigation", name="Operations").get_by_text("/jobs/{id}:retry").wait_for()
    await page.get_by_role("textbox", name="If-None-Match").wait_for()

    await page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run()")
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


async def test_a_call_can_be_tried(page: Page) -> None:
    await page.goto("/api#get-/types")
    async with page.expect_response("**/types") as answer:
        await page.get_by_role("button", name="TRY").click()

    assert (await (await answer.value).json())["types"]
