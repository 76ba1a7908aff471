"""A minimal service that runs in several processes: each sends its process id to clients of its port.

If the file TINY_OBSTACLE exists, the settings count as wrong.
"""

import asyncio
import os
import sys
from pathlib import Path

import structlog

from service_runtime.logging import configure_logging
from service_runtime.run import run_service
from service_runtime.settings import (
    Port,
    ProcessCount,
    ServiceSettings,
    exit_with_wrong_settings,
    load_settings,
)
from service_runtime.supervisor import join_supervisor, supervise


class TinySettings(ServiceSettings):
    tiny_port: Port
    tiny_processes: ProcessCount = 1
    tiny_obstacle: Path


def main() -> int:
    settings = load_settings(TinySettings)
    number = join_supervisor(sys.argv[1:])
    configure_logging(settings, number)
    if number is None and settings.tiny_processes > 1:
        return supervise("tests.supervised_service", settings.tiny_processes)
    if settings.tiny_obstacle.exists():
        exit_with_wrong_settings("the obstacle exists")
    try:
        run_service(lambda stop: serve(settings.tiny_port + (number or 1) - 1, stop))
    except OSError as error:
        exit_with_wrong_settings(f"TINY_PORT: {error}")
    return 0


async def serve(port: int, stop: asyncio.Event) -> None:
    async def send_pid(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(os.getpid()).encode())
        writer.close()

    async with await asyncio.start_server(send_pid, "127.0.0.1", port):
        await stop.wait()
    structlog.get_logger().info("ended_in_order")


if __name__ == "__main__":
    sys.exit(main())
