"""Checks the contract: that it does not break callers of the last release, its style, and its stubs in gen/.

The last release is proto/released.binpb. If there is a tag `v*`, the contract at the newest tag counts too.
"""

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


def buf(failure: str, *arguments: str) -> None:
    """Run buf, which prints what is wrong. Raises SystemExit with `failure` if something is."""
    if subprocess.run(["buf", *arguments, "--config", str(CONFIG)], check=False).returncode != 0:
        sys.exit(failure)


def git(*arguments: str) -> bytes | None:
    """What git prints; None if it fails, as it does where there is no repository."""
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return run.stdout if run.returncode == 0 else None


def verify_compatibility(image: Path, scratch: Path) -> None:
    """Raises SystemExit if `image` breaks callers of the last release, or if the stored image is outdated."""
    stored = generate.RELEASED
    buf("the contract breaks callers of the last release", "breaking", str(image), "--against", str(stored))
    tag = (git("describe", "--tags", "--abbrev=0", "--match=v*") or b"").decode().strip()
    archive = git("archive", tag, "proto") if tag else None
    if archive is None:
        return
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(scratch)  # noqa: S202 - it is a commit of our own
    tagged = scratch / "tagged.binpb"
    generate.write_image(scratch / "proto", tagged, scratch)
    buf(f"the contract breaks callers of {tag}", "breaking", str(image), "--against", str(tagged))
    outdated = f"{stored.name} is older than {tag}; run `make release-contract`"
    buf(outdated, "breaking", str(stored), "--against", str(tagged))


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
        generate.write_image(generate.PROTO_DIR, image, scratch, "--include_source_info")
        verify_compatibility(image, scratch)
        buf("the contract breaks the rules of style", "lint", str(image))
        fresh = scratch / "gen"
        fresh.mkdir()
        generate.write_stubs(fresh, scratch)
        if outdated := differing_stubs(fresh):
            sys.exit(f"gen/ is not what proto/ generates; run `make proto`: {', '.join(outdated)}")


if __name__ == "__main__":
    main()
