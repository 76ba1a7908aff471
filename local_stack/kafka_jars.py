"""Apache Kafka's jars, as jgo.lock.toml names them, from Maven Central into the cache folder.

`make lock` writes the lock anew from jgo.toml.
"""

import fcntl
import hashlib
import shutil
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from local_stack.part import StackError

LOCK_FILE = Path(__file__).parent / "jgo.lock.toml"
CONNECTIONS = 8
TIMEOUT = 30
"""Seconds that Maven Central may be silent."""


def jars_folder(cache_dir: Path) -> Path:
    """Where the jars of the lock as it is now are, or will be."""
    return cache_dir / f"kafka-{hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]}"


def fetch_jars(cache_dir: Path) -> None:
    """Fill jars_folder unless it is there; it appears complete or not at all. Raises StackError."""
    folder = jars_folder(cache_dir)
    if folder.exists():
        return
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        print("  Fetching Apache Kafka: 43 MB, this once", flush=True)
        scratch = folder.with_suffix(".part")
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "jars").mkdir(parents=True)
        _download_all(scratch / "repository", scratch / "jars")
        (scratch / "jars").rename(folder)
        shutil.rmtree(scratch)


def _download_all(repository: Path, target: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415 - slow to import, and needed only here

    context = MavenContext(repo_cache=repository, timeout=TIMEOUT)
    locked: list[dict[str, Any]] = tomllib.loads(LOCK_FILE.read_text())["dependencies"]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for path in pool.map(lambda jar: _download(context, jar), locked):
            shutil.move(path, target / path.name)


def _download(context: Any, jar: dict[str, Any]) -> Path:
    name = f"{jar['groupId']}:{jar['artifactId']}:{jar['version']}"
    component = context.project(jar["groupId"], jar["artifactId"]).at_version(jar["version"])
    try:
        path: Path = component.artifact(packaging=jar["packaging"]).resolve()
    except (OSError, RuntimeError) as error:
        raise StackError(
            f"{name} could not be fetched from Maven Central: is the network within reach? "
            f"Without it, use `docker compose up -d --wait`. ({error})"
        ) from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar["sha256"]:
        raise StackError(
            f"{name} from Maven Central is not the file that {LOCK_FILE.name} names: its SHA-256 differs"
        )
    return path
