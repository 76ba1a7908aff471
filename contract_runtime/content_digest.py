"""The digest of what a job's handler receives, which shows whether a Kafka record tells the truth.

An API server stores the digest with a new job. A worker computes it from the record that it is about to run,
and sends it with its claim. The claim's guard compares the two, in the same write. So a record that somebody
else has written, or that belongs to an older job with the same id, never decides what a handler receives.
It needs no key: what is stored with the job is the truth.
"""

from collections.abc import Mapping
from hashlib import sha256

from google.protobuf.struct_pb2 import Struct

DIGEST_LENGTH = 32
"""Hexadecimal digits: half of a SHA-256. A forger has to find another content for a digest that is given."""


def canonical_payload(payload: Struct) -> bytes:
    """The payload as bytes that do not depend on the order of its keys."""
    return payload.SerializeToString(deterministic=True)


def content_digest(
    job_id: str,
    job_type: str,
    payload: bytes,
    labels: Mapping[str, str],
    max_attempts: int,
    timeout_us: int,
) -> str:
    """The digest of everything that the handler receives, as hexadecimal text.

    `job_id`: 32 hexadecimal digits. It is part of the digest, which so proves nothing about another job.
    `payload`: its canonical_payload. `timeout_us`: microseconds; 0: no limit.
    """
    # Lengths stand before what may be any text, so that no two contents are the same bytes.
    text = f"{job_id} {job_type} {max_attempts} {timeout_us}"
    if labels:
        for key in sorted(labels):
            value = labels[key]
            text += f" {len(key)}:{key}{len(value)}:{value}"
    return sha256(text.encode() + b"\n" + payload).hexdigest()[:DIGEST_LENGTH]
