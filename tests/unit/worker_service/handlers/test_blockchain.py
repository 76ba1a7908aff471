"""Tests `blockchain` with real blocks of Bitcoin, and with Bitcoin Core's own table of compact targets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service import InputError, Job
from worker_service.handlers.blockchain import blockchain, double_sha256, merkle_root, target_of

# Headers, hashes and transaction ids as every block explorer shows them.
GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f61"
    "7fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)
BLOCK_170 = (
    "0100000055bd840a78798ad0da853f68974f3d183e2bd1db6a842c1feecf222a00000000ff104ccb05421ab93e63f8c3ce5c2c2e"
    "9dbb37de2764b3a3175c8166562cac7d51b96a49ffff001d283e9e70"
)
BLOCK_100000 = (
    "0100000050120119172a610421a6c3011dd330d9df07b63616c2cc1f1cd00200000000006657a9252aacd5c0b2940996ecff9522"
    "28c3067cc38d4885efb5a4ac4247e9f337221b4d4c86041b0f2b5710"
)
BLOCK_100002 = (
    "0100000090f0a9f110702f808219ebea1173056042a714bad51b916cb6800000000000005275289558f51c9966699404ae229473"
    "0c3c9f9bda53523ce50e9b95e558da2fdb261b4d4c86041b1ab1bf93"
)
HASHES = {
    GENESIS: "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    BLOCK_170: "00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee",
    BLOCK_100000: "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506",
    BLOCK_100002: "0000000000013b8ab2cd513b0261a14096412195a72a0c4827d229dcc7e0f7af",
}
TRANSACTIONS = {
    "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b": [  # genesis: its only transaction
        "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
    ],
    "7dac2c5666815c17a3b36427de37bb9d2e2c5ccec3f8633eb91a4205cb4c10ff": [  # block 170
        "b1fea52486ce0c62bb442b530a3f0132b826c74e473d1f2c220bfa78111c5082",
        "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16",
    ],
    "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766": [  # block 100000
        "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
        "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
        "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
        "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    ],
    "2fda58e5959b0ee53c5253da9b9f3c0c739422ae04946966991cf55895287552": [  # block 100002: odd on three levels
        "ef1d870d24c85b89d92ad50f4631026f585d6a34e972eaf427475e5d60acf3a3",
        "f9fc751cb7dc372406a9f8d738d5e6f8f63bab71986a39cf36ee70ee17036d07",
        "db60fb93d736894ed0b86cb92548920a3fe8310dd19b0da7ad97e48725e1e12e",
        "220ebc64e21abece964927322cba69180ed853bb187fbc6923bac7d010b9d87a",
        "71b3dbaca67e9f9189dad3617138c19725ab541ef0b49c05a94913e9f28e3f4e",
        "fe305e1ed08212d76161d853222048eea1f34af42ea0e197896a269fbf8dc2e0",
        "21d2eb195736af2a40d42107e6abd59c97eb6cffd4a5a7a7709e86590ae61987",
        "dd1fd2a6fc16404faf339881a90adbde7f4f728691ac62e8f168809cdfae1053",
        "74d681e0e03bafa802c8aa084379aa98d9fcd632ddc2ed9782b586ec87451f20",
    ],
}


def run(**payload: Any) -> dict[str, Any]:
    return blockchain(Job("0", "blockchain", 1, payload))


@pytest.mark.parametrize("header", HASHES)
def test_a_real_header_has_its_real_hash_and_meets_its_target(header: str) -> None:
    assert run(header=header) == {"hash": HASHES[header], "meets_target": True}
    assert run(header=header.upper(), transactions=None) == run(header=header)


@pytest.mark.parametrize("root", TRANSACTIONS)
def test_real_transactions_have_the_root_of_their_block(root: str) -> None:
    assert run(transactions=TRANSACTIONS[root]) == {"merkle_root": root}
    assert any(bytes.fromhex(root)[::-1].hex() == header[72:136] for header in HASHES)


def test_a_header_with_another_nonce_does_not_meet_its_target() -> None:
    assert run(header=GENESIS[:-8] + "1eac2b7c")["meets_target"] is False


@pytest.mark.parametrize("bits", ["00000000", "ffff801d", "00ffff21", "ffff7fff"])
def test_a_target_that_is_zero_negative_or_too_large_is_never_met(bits: str) -> None:
    assert run(header=GENESIS[:144] + bits + GENESIS[152:])["meets_target"] is False


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        # Bitcoin Core, src/test/arith_uint256_tests.cpp, bignum_SetCompact. None: zero, negative or overflow.
        *[(bits, None) for bits in (0, 0x00123456, 0x01003456, 0x02000056, 0x03000000, 0x04000000)],
        *[(bits, None) for bits in (0x00923456, 0x01803456, 0x02800056, 0x03800000, 0x04800000)],
        (0x01123456, 0x12),
        (0x01FEDCBA, None),
        (0x02123456, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x04923456, None),
        (0x05009234, 0x92340000),
        (0x20123456, 0x123456 << 232),
        (0xFF123456, None),
        # The edges of the overflow rule.
        (0x2100FFFF, 0xFFFF << 240),
        (0x21010000, None),
        (0x220000FF, 0xFF << 248),
        (0x22000100, None),
        (0x23000001, None),
    ],
)
def test_a_compact_target_is_read_as_bitcoin_core_reads_it(bits: int, target: int | None) -> None:
    assert target_of(bits) == target


@given(st.integers(0, 2**32 - 1))
def test_every_compact_target_is_a_positive_256_bit_number_or_none(bits: int) -> None:
    target = target_of(bits)
    size, word = bits >> 24, bits & 0x7FFFFF
    overflow = word != 0 and (size > 34 or (word > 0xFF and size > 33) or (word > 0xFFFF and size > 32))
    assert target is None if overflow else target is None or 0 < target < 2**256


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20))
def test_a_root_is_the_hash_of_the_roots_of_its_halves(ids: list[bytes]) -> None:
    padded = list(ids)
    while len(padded) & (len(padded) - 1):
        # Repeating the end of an incomplete subtree changes nothing (CVE-2012-2459).
        block = len(padded) & -len(padded)
        padded += padded[-block:]
    assert merkle_root(padded) == merkle_root(ids)
    if len(padded) > 1:
        half = len(padded) // 2
        assert merkle_root(ids) == double_sha256(merkle_root(padded[:half]) + merkle_root(padded[half:]))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "transactions or header: exactly one must be given, not 0"),
        ({"header": GENESIS, "transactions": []}, "transactions or header: exactly one must be given, not 2"),
        ({"transactions": "ab"}, "transactions: must be a list, is a string"),
        ({"transactions": []}, "transactions: must have at least one item"),
        (
            {"transactions": ["00" * 32, 7]},
            "transactions[1]: must be a transaction id of 64 hex digits, is a number",
        ),
        (
            {"transactions": ["00" * 32 + "\n"]},
            f"transactions[0]: must be a transaction id of 64 hex digits, is '{'0' * 60}…'",
        ),
        ({"transactions": ["é"]}, "transactions[0]: must be a transaction id of 64 hex digits, is 'é'"),
        ({"header": 1}, "header: must be a string, is a number"),
        ({"header": "00"}, "header: must be 160 hex digits, is '00' of 2 characters"),
        (
            {"header": "0x" + "0" * 158},
            f"header: must be 160 hex digits, is '0x{'0' * 58}…' of 160 characters",
        ),
    ],
)
def test_wrong_input_names_the_field_and_the_rule(payload: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        run(**payload)
    assert str(caught.value) == message
