"""Checks the contract: its style, that nothing in it breaks callers of the last commit, and that gen/ is up to date."""

import filecmp
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import generate

ROOT = generate.PROTO_DIR.parent
CONFIG = generate.PROTO_DIR / "buf.yaml"


def buf(*arguments: str) -> None:
    if subprocess.run(["buf", *arguments, "--config", str(CONFIG)], check=False).returncode != 0:
        sys.exit(f"buf {arguments[0]} failed")


def committed_protos(target: Path) -> Path | None:
    """The contract of the last commit, unpacked below `target`; None if there is none yet."""
    archive = subprocess.run(["git", "archive", "HEAD", "proto"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode != 0:
        return None
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(target)  # noqa: S202 - it is our own commit
    return target / "proto"


def differing_stubs(fresh: Path) -> list[str]:
    """Files under gen/ that are missing, outdated or left over, compared with `fresh`."""
    names = {
        str(path.relative_to(directory))
        for directory in (fresh, ROOT / "gen")
        for path in directory.rglob("*.py*")
        if path.suffix in (".py", ".pyi")
    }
    _, different, missing = filecmp.cmpfiles(fresh, ROOT / "gen", sorted(names), shallow=False)
    return different + missing


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        image = scratch / "now.binpb"
        generate.write_image(generate.PROTO_DIR, image, scratch)
        buf("lint", str(image))
        before = committed_protos(scratch)
        if before is not None:
            generate.write_image(before, scratch / "before.binpb", scratch)
            buf("breaking", str(image), "--against", str(scratch / "before.binpb"))
        fresh = scratch / "gen"
        fresh.mkdir()
        generate.write_stubs(fresh, scratch)
        if outdated := differing_stubs(fresh):
            sys.exit(f"gen/ is not what proto/ generates; run `make proto`: {', '.join(outdated)}")


if __name__ == "__main__":
    main()
