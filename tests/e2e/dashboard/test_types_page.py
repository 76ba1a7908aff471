"""Submitting a job."""

import json

import httpx
from playwright.async_api import Page, Route, expect

from tests.e2e.dashboard.jobs import completed
from tests.e2e.jobs_api import get

SCHEMA = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "input": {"type": "string", "description": "The text to hash."},
        "algorithm": {"enum": ["md5", "sha256"]},
        "options": {"$ref": "#/$defs/Options"},
    },
    "$defs": {
        "Options": {
            "type": "object",
            "properties": {
                "rounds": {"type": "integer"},
                "salt": {"type": "boolean"},
                "more": {"type": "array"},
            },
        }
    },
}


async def test_a_job_is_submitted_as_json(page: Page, client: httpx.Client) -> None:
    completed(client)
    await page.goto("/ui/types/compute")

    await page.get_by_label("Payload").fill("{")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("The payload is not JSON")
    await page.get_by_role("button", name="Fill in the latest job's payload").click()
    await expect(page.get_by_label("Payload")).to_have_value('{\n  "input": "hello"\n}')
    await page.get_by_text("Options").click()
    await page.get_by_label("Labels").fill("BAD=x")
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("labels")
    await page.get_by_label("Labels").fill("team=search, env=test")
    await page.get_by_label("Tries").fill("5")
    await page.get_by_role("button", name="Submit").click()

    await expect(page.get_by_role("heading", name="compute job")).to_be_visible()
    job = get(client, page.url.rsplit("/", 1)[1])
    assert (job["payload"], job["labels"]) == ({"input": "hello"}, {"team": "search", "env": "test"})
    assert job["retryPolicy"]["maxAttempts"] == 5


async def test_a_schema_becomes_fields(page: Page, client: httpx.Client) -> None:
    async def with_schema(route: Route) -> None:
        answer = await route.fetch()
        types = (await answer.json())["types"]
        described = [
            {**each, "payloadSchema": SCHEMA} if each["type"] == "compute" else each for each in types
        ]
        await route.fulfill(body=json.dumps({"types": described}), content_type="application/json")

    await page.route("**/types", with_schema)
    await page.goto("/ui/types/compute")

    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("input is required")
    await page.get_by_label("input").fill("hello")
    await page.get_by_label("algorithm").select_option("md5")
    await page.get_by_label("rounds").fill("3")
    await page.get_by_label("more").fill("[1, 2]")
    await page.get_by_role("button", name="JSON").click()
    await expect(page.get_by_label("Payload")).to_have_value(
        json.dumps(
            {"input": "hello", "algorithm": "md5", "options": {"rounds": 3, "salt": False, "more": [1, 2]}},
            indent=2,
        )
    )
    await page.get_by_role("button", name="Fields").click()
    await page.get_by_role("button", name="Submit").click()

    await expect(page.get_by_role("heading", name="compute job")).to_be_visible()
    assert get(client, page.url.rsplit("/", 1)[1])["payload"]["options"]["more"] == [1, 2]
