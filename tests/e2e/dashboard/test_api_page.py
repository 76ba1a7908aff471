"""The page that shows the API document."""

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Page

pytestmark = pytest.mark.slow


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
