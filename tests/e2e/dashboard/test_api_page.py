"""The page that shows the API document."""

import json

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Page, Route, expect

from api_server.rpc.api_document import contract_document, with_schemas
from tests.unit.api_server.rpc.hostile_schemas import LEFT_OUT_HOSTILE, SHOWN_HOSTILE

pytestmark = pytest.mark.slow


async def test_the_page_shows_each_operation_and_is_accessible(page: Page) -> None:
    await page.goto("/api#get-/jobs/-id-")
    await page.get_by_role("navigation", name="Operations").get_by_text("/jobs/{id}:retry").wait_for()
    await page.get_by_role("textbox", name="If-None-Match").wait_for()

    await page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run()")
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


async def test_a_call_can_be_tried_and_shows_the_schemas_of_payloads(page: Page) -> None:
    await page.goto("/api#get-/types")
    async with page.expect_response("**/types") as answer:
        await page.get_by_role("button", name="TRY").click()
    assert (await (await answer.value).json())["types"]

    await page.goto("/api#post-/jobs")
    await page.get_by_role("heading", name="Stores a job and returns it").wait_for()
    await page.get_by_role("button", name="SCHEMA").first.click()
    await expect(page.get_by_text("Payload of typed").first).to_be_visible()


async def test_schemas_of_a_hostile_worker_stay_text(page: Page) -> None:
    contract = json.loads(contract_document())
    # With one path the page appears much sooner.
    contract["paths"] = {"/jobs": contract["paths"]["/jobs"]}
    document = with_schemas(json.dumps(contract).encode(), {**SHOWN_HOSTILE, **LEFT_OUT_HOSTILE}).decode()

    async def with_hostile_schemas(route: Route) -> None:
        await route.fulfill(body=document, content_type="application/json")

    await page.route("**/openapi.json", with_hostile_schemas)
    await page.goto("/api#post-/jobs")
    await page.get_by_role("button", name="SCHEMA").first.click()

    # The fixture `page` finds requests of other hosts, and scripts that the policy refuses.
    await expect(page.get_by_text("Payload of names").first).to_be_visible()
    await expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
    assert await page.locator("img[src=x]").count() == 0
    assert await page.locator("rapi-doc script").count() == 0
