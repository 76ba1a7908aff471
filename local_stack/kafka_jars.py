"""Downloads Apache Kafka's jars, which jgo.lock.toml lists, from Maven Central to the cache folder.

`make lock` writes jgo.lock.toml from jgo.toml.
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
"""Seconds without data from Maven Central after which a download fails."""


def jars_folder(cache_dir: Path) -> Path:
    """The folder for the jars of the present lock file. It may not exist yet."""
    return cache_dir / f"kafka-{hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]}"


def fetch_jars(cache_dir: Path) -> None:
    """Download the jars unless they are there.

    The folder appears only when it is complete. Raises StackError.
    """
    folder = jars_folder(cache_dir)
    if folder.exists():
        return
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        print("  Downloading Apache Kafka: 43 MB, only once", flush=True)
        scratch = folder.with_suffix(".part")
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "jars").mkdir(parents=True)
        _download_all(scratch / "repository", scratch / "jars")
        (scratch / "jars").rename(folder)
        shutil.rmtree(scratch)


def _download_all(repository: Path, target: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415 - slow to import, needed only for a download

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
            f"{name} could not be downloaded from Maven Central: is there a network connection? "
            f"Without one, use `docker compose up -d --wait`. ({error})"
        ) from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar["sha256"]:
        raise StackError(
            f"{name} from Maven Central is not the file in {LOCK_FILE.name}: its SHA-256 differs"
        )
    return path
