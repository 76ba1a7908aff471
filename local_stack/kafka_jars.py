"""Apache Kafka's jars, from Maven Central by jgo, checked against the hashes in jgo.lock.toml."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from local_stack.part import StackError

HERE = Path(__file__).parent
LOCK = HERE / "jgo.lock.toml"


def class_path(cache_dir: Path) -> str:
    """Java's class path of all jars; fetches them first if need be. Raises StackError."""
    version = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    jars = cache_dir / f"kafka-{version}"
    if not jars.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with (cache_dir / "kafka.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not jars.exists():
                _fetch(jars)
    return ":".join(str(path) for path in sorted(jars.rglob("*.jar")))


def _fetch(target: Path) -> None:
    scratch = target.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("jgo.toml", "jgo.lock.toml"):
        shutil.copy(HERE / name, scratch)
    print("Fetching Apache Kafka (43 MB, once)", flush=True)
    command = [sys.executable, "-m", "jgo", "--quiet", "--cache-dir", str(scratch / "built"), "sync"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            "Apache Kafka could not be fetched from Maven Central: is the network within reach? "
            f"Without it, use `docker compose up`.\n{(done.stderr or done.stdout).strip()[-500:]}"
        )
    _check_hashes(scratch / "built")
    (scratch / "built").rename(target)
    shutil.rmtree(scratch)


def _check_hashes(directory: Path) -> None:
    expected = {
        f"{item['artifactId']}-{item['version']}.jar": item["sha256"]
        for item in tomllib.loads(LOCK.read_text())["dependencies"]
    }
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*.jar")}
    if found != expected:
        wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        raise StackError(f"Kafka's jars are not those of jgo.lock.toml: {', '.join(wrong)}")
