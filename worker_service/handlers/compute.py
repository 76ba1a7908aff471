"""Job type `compute`: the digest of a text.

The payload has `input`, a string, and optionally `algorithm`, by default sha256. The result has `hash`, the
digest of the input's UTF-8 bytes in hex.
"""

import hashlib

from worker_service.handler_api.errors import InputError
from worker_service.handler_api.handler import handler
from worker_service.handler_api.job import Job
from worker_service.handlers.fields import optional_text_field, shown, text_field

# Without shake_128 and shake_256: their digests have no fixed size.
ALGORITHMS = tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")))


@handler("compute", run_in="loop")  # the largest input takes about a millisecond
def compute(job: Job) -> dict[str, str]:
    """Raises InputError."""
    text = text_field(job.payload, "input")
    algorithm = optional_text_field(job.payload, "algorithm")
    if algorithm is None:
        algorithm = "sha256"
    if algorithm not in ALGORITHMS:
        raise InputError("algorithm", f"must be one of {', '.join(ALGORITHMS)}, is {shown(algorithm)}")
    # The user decides what the digest is for. Without this argument, some builds of Python refuse md5.
    return {"hash": hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()}
