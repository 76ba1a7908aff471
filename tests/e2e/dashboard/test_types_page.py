"""Submitting a job."""

import json

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.e2e.dashboard.jobs import completed
from tests.e2e.jobs_api import get, wait_for_status


@pytest.mark.slow
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


async def test_the_schema_of_a_handler_becomes_fields(page: Page, client: httpx.Client) -> None:
    await page.goto("/ui/types/typed")

    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("input is required")
    await page.get_by_label("Input").fill("hello")
    await page.get_by_label("Algorithm").select_option("md5")
    await page.get_by_label("Rounds").fill("3")
    await page.get_by_label("More").fill("[1, 2]")
    await page.get_by_role("button", name="JSON").click()
    # A schema has no order after its way through the contract.
    assert json.loads(await page.get_by_label("Payload").input_value()) == {
        "input": "hello",
        "algorithm": "md5",
        "options": {"rounds": 3, "salt": False, "more": [1, 2]},
    }
    await page.get_by_role("button", name="Fields").click()
    await page.get_by_label("More").fill('["two"]')
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("payload.options.more[0]")
    await page.get_by_label("More").fill("[2]")
    await page.get_by_role("button", name="Submit").click()

    await expect(page.get_by_role("heading", name="typed job")).to_be_visible()
    job = wait_for_status(client, page.url.rsplit("/", 1)[1], "completed")
    assert job["payload"]["options"]["more"] == [2]
    assert job["result"] == {"algorithm": "md5", "rounds": 3}
