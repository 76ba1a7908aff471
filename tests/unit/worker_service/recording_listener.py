"""A RunListener that records what it was called with."""

import asyncio
from typing import Any

from worker_service.handler_api.progress import ProgressUpdate


class RecordingListener:
    def __init__(self) -> None:
        self.updates: list[ProgressUpdate] = []
        self.left_running: list[asyncio.Future[Any]] = []

    def on_progress(self, update: ProgressUpdate) -> None:
        self.updates.append(update)

    def on_left_running(self, handler: asyncio.Future[Any]) -> None:
        self.left_running.append(handler)
