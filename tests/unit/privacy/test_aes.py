"""AES-CMAC and AES-SIV over columns, against the vectors of their RFCs and the one-by-one implementations."""

from collections.abc import Sequence

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from privacy.aes import ColumnarCmac, ColumnarSiv
from privacy.ragged import BLOCK, COLUMNAR_BLOCKS, Ragged

KEY = bytes(range(64))


def ragged(values: Sequence[bytes]) -> Ragged:
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    return Ragged(np.frombuffer(b"".join(values), np.uint8), ends)


def sealed(siv: ColumnarSiv, values: Sequence[bytes]) -> list[bytes]:
    column = ragged(values)
    result = {row: siv.one(values[row]) for row in column.long_rows()}
    for group in siv.seal(column):
        rows = np.arange(len(values))[group.rows]
        result |= {
            row: data[:length].tobytes() for row, data, length in zip(rows, group.data, group.lengths, strict=True)
        }
    return [result[row] for row in range(len(values))]


def library_cmac(key: bytes, value: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(value)
    return mac.finalize()


RFC_4493_MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
)
RFC_4493_TAGS = {
    0: "bb1d6929e95937287fa37d129b756746",
    16: "070a16b46b4d4144f79bdd9dd04a287c",
    40: "dfa66747de9ae63030ca32611497c827",
    64: "51f0bebf7e3b9d92fc49741779363cfe",
}


def test_cmac_equals_rfc_4493_when_all_its_messages_are_one_column() -> None:
    mac = ColumnarCmac(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    tags = mac.tags(ragged([RFC_4493_MESSAGE[:length] for length in RFC_4493_TAGS]))
    assert [tag.tobytes().hex() for tag in tags] == list(RFC_4493_TAGS.values())


@pytest.mark.parametrize("length", RFC_4493_TAGS)
def test_cmac_equals_rfc_4493_when_a_column_has_one_length(length: int) -> None:
    mac = ColumnarCmac(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    tags = mac.tags(ragged([RFC_4493_MESSAGE[:length]] * 3))
    assert [tag.tobytes().hex() for tag in tags] == [RFC_4493_TAGS[length]] * 3


def test_siv_equals_rfc_5297_when_deterministic() -> None:
    """RFC 5297, appendix A.1."""
    siv = ColumnarSiv(
        bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0 f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        [bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")],
    )
    assert sealed(siv, [bytes.fromhex("112233445566778899aabbccddee")] * 2) == 2 * [
        bytes.fromhex("85632d07c6e8f37f950acd320a2ecc93 40c02b9690c4dc04daef7f6afe5c")
    ]


def test_siv_equals_rfc_5297_when_value_is_long_and_associated_strings_are_three() -> None:
    """RFC 5297, appendix A.2."""
    siv = ColumnarSiv(
        bytes.fromhex("7f7e7d7c7b7a79787776757473727170 404142434445464748494a4b4c4d4e4f"),
        [
            bytes.fromhex("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
            bytes.fromhex("102030405060708090a0"),
            bytes.fromhex("09f911029d74e35bd84156c5635688c0"),
        ],
    )
    assert sealed(siv, [b"this is some plaintext to encrypt using SIV-AES"]) == [
        bytes.fromhex(
            "7bdb6e3b432667eb06f4d14bff2fbd0f cb900f2fddbe404326601965c889bf17"
            "dba77ceb094fa663b7a3f748ba8af829 ea64ad544a272e9c485b62a3fd5c0d"
        )
    ]


@pytest.mark.parametrize("length", range(201))
def test_column_equals_library_when_all_values_have_one_length(length: int) -> None:
    values = [bytes((row * 7 + at) % 256 for at in range(length)) for row in range(3)]
    tags = ColumnarCmac(KEY[:32]).tags(ragged(values))
    assert [tag.tobytes() for tag in tags] == [library_cmac(KEY[:32], value) for value in values]
    expected = [AESSIV(KEY).encrypt(value, [b"msisdn"]) for value in values]
    assert sealed(ColumnarSiv(KEY, [b"msisdn"]), values) == expected


def test_column_equals_library_when_lengths_are_mixed() -> None:
    values = [bytes((length * 31 + at) % 256 for at in range(length)) for length in [*range(201), *range(200, -1, -3)]]
    tags = ColumnarCmac(KEY[:32]).tags(ragged(values))
    assert [tag.tobytes() for tag in tags] == [library_cmac(KEY[:32], value) for value in values]
    expected = [AESSIV(KEY).encrypt(value, [b"name"]) for value in values]
    assert sealed(ColumnarSiv(KEY, [b"name"]), values) == expected


def test_sealed_rows_are_zero_beyond_their_length_when_lengths_differ() -> None:
    (group,) = ColumnarSiv(KEY, [b"name"]).seal(ragged([b"", b"a", b"abcdefghijklmno"]))
    assert not group.data[0, BLOCK:].any()
    assert not group.data[1, BLOCK + 1 :].any()


def test_groups_leave_out_only_long_values_when_column_holds_both() -> None:
    limit = BLOCK * COLUMNAR_BLOCKS
    column = ragged([b"a", bytes(limit), bytes(limit + 1), b""])
    assert column.long_rows().tolist() == [2]
    assert sorted(row for group in column.groups() for row in np.arange(4)[group.rows]) == [0, 1, 3]
