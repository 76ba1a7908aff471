"""Job type `blockchain`: Merkle roots and block headers by Bitcoin's rules.

The payload has exactly one of two fields. For `transactions`, the ids of a block's transactions in order, the
result has `merkle_root`. For `header`, the 80 bytes of a block header in hex, it has `hash` and
`meets_target`. Ids and hashes are 64 hex digits in Bitcoin's display order, which reverses the bytes. About
14,000 transactions fit into a payload.

A list that repeats its end can have the same root as a shorter list (CVE-2012-2459), so a root alone does not
prove a list. `meets_target` compares the hash with the target in the header's own bits. Whether the chain
allows that target is not checked.
"""

import hashlib
import re
from typing import Any

from contract_runtime.json_kind import kind_of
from worker_service.handler_api.errors import InputError
from worker_service.handler_api.handler import handler
from worker_service.handler_api.job import Job
from worker_service.handlers.fields import list_field, one_of, shown, text_field

TRANSACTION_ID = re.compile(r"[0-9a-fA-F]{64}")
HEADER = re.compile(r"[0-9a-fA-F]{160}")
BITS = slice(72, 76)
"""Position of the target in a header."""


@handler("blockchain")
def blockchain(job: Job) -> dict[str, Any]:
    """Raises InputError."""
    if one_of(job.payload, "transactions", "header") == "transactions":
        ids = [
            _transaction_id(index, item) for index, item in enumerate(list_field(job.payload, "transactions"))
        ]
        return {"merkle_root": merkle_root(ids)[::-1].hex()}
    text = text_field(job.payload, "header")
    if HEADER.fullmatch(text) is None:
        raise InputError("header", f"must be 160 hex digits, is {shown(text)} of {len(text)} characters")
    header = bytes.fromhex(text)
    digest = double_sha256(header)
    return {"hash": digest[::-1].hex(), "meets_target": meets_target(digest, header[BITS])}


def merkle_root(ids: list[bytes]) -> bytes:
    """The root of one or more transaction ids. All are in the internal byte order."""
    level = ids
    while len(level) > 1:
        if len(level) % 2:
            level = [*level, level[-1]]
        level = [double_sha256(left + right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of the SHA-256 of `data`: Bitcoin's hash."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def meets_target(digest: bytes, bits: bytes) -> bool:
    """Whether a header's hash is at most the target in `bits`. False if the target is invalid."""
    target = target_of(int.from_bytes(bits, "little"))
    return target is not None and int.from_bytes(digest, "little") <= target


def target_of(bits: int) -> int | None:
    """Decode a compact target: 8 bits for the length in bytes, a sign bit, 23 bits of mantissa.

    None if it is negative, zero or above 256 bits. Bitcoin Core refuses the same (arith_uint256::SetCompact).
    """
    size = bits >> 24
    mantissa = bits & 0x7FFFFF
    target = mantissa >> 8 * (3 - size) if size <= 3 else mantissa << 8 * (size - 3)
    negative = bits & 0x800000
    return None if negative or target == 0 or target.bit_length() > 256 else target


def _transaction_id(index: int, item: Any) -> bytes:
    if isinstance(item, str) and TRANSACTION_ID.fullmatch(item):
        return bytes.fromhex(item)[::-1]
    problem = shown(item) if isinstance(item, str) else kind_of(item)
    raise InputError(f"transactions[{index}]", f"must be a transaction id of 64 hex digits, is {problem}")
