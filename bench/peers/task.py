"""The task of each peer."""

from bench.work import digest

TASK = "sha256"


def hash_text(text: str) -> dict[str, str]:
    return {"hash": digest(text)}
