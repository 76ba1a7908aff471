"""Stop and start: a worker, a type, and the whole fleet."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from contract_runtime.version import VERSION
from tests.waiting import until


@pytest.fixture(autouse=True)
def all_started(workers: httpx.Client) -> Iterator[None]:
    yield
    assert workers.post("/start", json={"all": True}).is_success


def state_of(workers: httpx.Client) -> dict[str, Any]:
    state: dict[str, Any] = workers.get("/state").json()
    return state


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("worker worker-1", "stoppedWorkers"),
        pytest.param("type unworked", "stoppedTypes", marks=pytest.mark.slow),
    ],
)
async def test_a_part_is_stopped_and_started(
    page: Page, workers: httpx.Client, name: str, listed: str
) -> None:
    await page.goto("/ui/fleet")

    await page.get_by_role("button", name=f"Stop {name}").click()
    await expect(page.get_by_role("button", name=f"Start {name}")).to_be_enabled()
    state = state_of(workers)
    assert (state[listed], state["consuming"]) == ([name.split()[1]], True)

    await page.get_by_role("button", name=f"Start {name}").click()
    await expect(page.get_by_role("button", name=f"Stop {name}")).to_be_enabled()
    assert state_of(workers)[listed] == []


@pytest.mark.slow
async def test_a_worker_tells_when_it_started_and_its_version(page: Page) -> None:
    await page.goto("/ui/fleet")
    row = page.get_by_role("row").filter(has_text="worker-1")
    await expect(row).to_contain_text(VERSION)
    await expect(page.get_by_role("columnheader", name="Started")).to_be_visible()


async def test_the_fleet_is_stopped_only_after_a_question(page: Page, workers: httpx.Client) -> None:
    await page.goto("/ui/fleet")
    stop, start = page.get_by_role("button", name="Stop all"), page.get_by_role("button", name="Start all")

    await stop.click()
    await page.get_by_role("button", name="Let it run").click()
    assert state_of(workers)["consuming"] is True
    await stop.click()
    await page.get_by_role("button", name="Stop the fleet").click()
    await expect(page.get_by_text("The fleet is stopped.")).to_be_visible()
    assert state_of(workers)["consuming"] is False

    await start.click()
    await until(lambda: state_of(workers)["consuming"], "the fleet runs")
    await expect(page.get_by_text("The fleet is stopped.")).to_have_count(0)
