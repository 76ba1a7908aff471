"""Tests `compute` with the published test vectors of each hash."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service import InputError, Job
from worker_service.handlers.compute import ALGORITHMS, compute


def run(**payload: Any) -> dict[str, str]:
    return compute(Job("0", "compute", 1, payload))


# FIPS 180-4 and FIPS 202 examples, RFC 1321 (MD5) and RFC 7693 (BLAKE2): the digests of "abc".
ABC = {
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha3_256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
    "blake2s": "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
}


@pytest.mark.parametrize("algorithm", ABC)
def test_a_digest_equals_the_published_one(algorithm: str) -> None:
    assert run(input="abc", algorithm=algorithm) == {"hash": ABC[algorithm]}


def test_sha256_is_the_default_and_the_empty_text_has_a_digest() -> None:
    assert run(input="abc") == {"hash": ABC["sha256"]}
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert run(input="", algorithm=None) == {"hash": empty}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_digest_is_of_the_utf8_bytes(text: str) -> None:
    assert run(input=text)["hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_every_guaranteed_algorithm_of_fixed_length_is_offered() -> None:
    assert set(ALGORITHMS) == hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}
    for algorithm in ALGORITHMS:
        assert run(input="abc", algorithm=algorithm)["hash"] == hashlib.new(algorithm, b"abc").hexdigest()


@pytest.mark.parametrize(
    ("payload", "field", "problem"),
    [
        ({}, "input", "must be given"),
        ({"input": 5}, "input", "must be a string, is a number"),
        ({"input": None}, "input", "must be a string, is null"),
        ({"input": "x", "algorithm": True}, "algorithm", "must be a string, is true or false"),
    ],
)
def test_wrong_input_names_the_field_and_the_rule(payload: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        run(**payload)
    assert (caught.value.field, caught.value.problem) == (field, problem)


@pytest.mark.parametrize("algorithm", ["", "SHA256", "crc32", "shake_128", "x" * 10_000])
def test_the_error_for_an_unknown_algorithm_names_the_allowed_ones(algorithm: str) -> None:
    with pytest.raises(
        InputError, match=r"^algorithm: must be one of blake2b, blake2s, md5, .*sha512, is '"
    ) as caught:
        run(input="x", algorithm=algorithm)
    assert len(str(caught.value)) < 300
