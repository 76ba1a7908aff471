"""Takes the pictures of the dashboard in docs/images.

    python -m tests.screenshots

starts a system of its own, gives it jobs to do for a while, and needs Chromium.
"""

import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, async_playwright

from local_stack.settings import ROOT, StackSettings
from local_stack.stack import Stack

IMAGES = ROOT / "docs/images"
SIZE = (1120, 700)
MINUTES = 4
TYPES = "compute,file,data,gated,flaky,broken,slow"
ERRORS = ("The bucket images-eu does not exist", "Connection to smtp.internal:25 refused")
TEAMS = ("search", "billing", "media")


def main() -> int:
    """Exit status 1 if there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.stderr.write("Chromium is missing\n")
        return 1
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(StackSettings.with_free_ports(Path(directory), workers=2))
        stack.set_environment("api_server", 1, {"JOB_TYPES": f"{TYPES},thumbnail", "KAFKA_PARTITIONS": "4"})
        for number in (1, 2):
            stack.set_environment(
                "worker", number, {"WORKER_JOB_TYPES": TYPES, "WORKER_HANDLERS": "tests.handlers"}
            )
        try:
            stack.up()
            shown = work(stack.endpoints.jobs_url, Path(directory))
            asyncio.run(take_all(chromium, stack.endpoints.jobs_url, shown))
        finally:
            stack.down()
    return 0


def work(url: str, directory: Path) -> dict[str, str]:
    """Create jobs for some minutes. Returns the ids of two to show: one that failed, one that runs."""
    dice = random.Random(4)  # noqa: S311 - for pictures
    end = time.monotonic() + 60 * MINUTES
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
        running = create(http, "gated", gated(directory, 64, "page 128 of 200"), "media")
        while time.monotonic() < end:
            create(http, *some_job(dice, directory), dice.choice(TEAMS))
            time.sleep(dice.uniform(0.1, 0.8))
        for kind, payload in (("thumbnail", {}), ("gated", gated(directory, 38, "page 19 of 50"))):
            create(http, kind, payload, "media")
        jobs = http.get("/jobs", params={"statuses": "failed", "pageSize": 1, "view": "basic"}).json()["jobs"]
    return {"failed": jobs[0]["id"], "running": running}


def some_job(dice: random.Random, directory: Path) -> tuple[str, dict[str, Any]]:
    kinds: list[tuple[int, str, dict[str, Any]]] = [
        (60, "compute", {"input": f"text {dice.random()}"}),
        (12, "data", {"csv": "city,temperature\nOslo,3\nRome,14\nCairo,22\n"}),
        (8, "file", {"path": "haiku.txt"}),
        (8, "flaky", {"failures": 2}),
        (4, "broken", {"text": dice.choice(ERRORS)}),
        (6, "slow", {"seconds": dice.randint(3, 20), "ledger": str(directory / "ledger")}),
        (1, "gated", gated(directory, dice.randint(10, 90), "resizing")),
        (1, "thumbnail", {"url": "https://example.org/cat.png"}),
    ]
    _, kind, payload = dice.choices(kinds, weights=[weight for weight, _, _ in kinds])[0]
    return kind, payload


def gated(directory: Path, percent: int, message: str) -> dict[str, Any]:
    paths = {"gate": str(directory / "gate"), "ledger": str(directory / "ledger")}
    return {**paths, "progress": [percent, message], "say": "opened album.pdf"}


def create(http: httpx.Client, kind: str, payload: dict[str, Any], team: str) -> str:
    body = {
        "type": kind,
        "payload": payload,
        "labels": {"team": team},
        "retryPolicy": {"initialBackoff": "1s"},
    }
    answer = http.post("/jobs", json=body)
    answer.raise_for_status()
    return str(answer.json()["id"])


async def take_all(chromium: str, url: str, shown: dict[str, str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        await take(browser, f"{url}/ui/", "overview.png", "light")
        await take(browser, f"{url}/ui/", "overview-dark.png", "dark")
        await take(browser, f"{url}/ui/jobs", "jobs.png", "light")
        await take(browser, f"{url}/ui/jobs/{shown['failed']}", "job.png", "light")
        await take(browser, f"{url}/ui/fleet", "fleet.png", "dark")
        await browser.close()


async def take(browser: Browser, url: str, name: str, scheme: str) -> None:
    page = await browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.goto(url)
    await page.locator(".card").first.wait_for()
    # The charts and the stream come after the first view.
    await page.wait_for_timeout(4000)
    await page.screenshot(path=IMAGES / name)
    await page.close()


if __name__ == "__main__":
    sys.exit(main())
