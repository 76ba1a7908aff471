"""The dashboard without a mouse."""

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.e2e.dashboard.jobs import completed


@pytest.mark.slow
async def test_keys_lead_to_pages_and_through_the_list(page: Page, client: httpx.Client) -> None:
    older, newer = completed(client), completed(client)
    await page.goto("/ui/")
    await expect(page.get_by_role("heading", name="Jobs per minute")).to_be_visible()

    for key, heading in (("f", "Fleet"), ("t", "Types"), ("o", "Overview"), ("j", "Jobs")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
    await expect(page.get_by_label(f"Select job {newer['id']}")).to_be_visible()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.get_by_label(f"Select job {older['id']}")).to_be_checked()
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text(newer["id"]).first).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_label("Find a job or add a filter")).to_be_focused()


@pytest.mark.slow
async def test_the_list_of_keys_opens_and_closes(page: Page) -> None:
    await page.goto("/ui/fleet")
    await expect(page.get_by_text("worker-1").first).to_be_visible()

    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Next or previous job")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_first_tab_stop_skips_the_navigation(page: Page) -> None:
    await page.goto("/ui/fleet")

    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await expect(page.locator("#main")).to_be_focused()
    await expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


@pytest.mark.slow
async def test_the_theme_is_chosen_and_kept(page: Page) -> None:
    await page.emulate_media(color_scheme="light")
    await page.goto("/ui/fleet")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)

    await page.keyboard.press("t")
    await page.keyboard.press("t")
    assert await page.evaluate(ground) != light
    await page.reload()
    await expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert await page.evaluate(ground) != light
