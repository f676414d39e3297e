"""AES-CMAC and AES-SIV over whole columns: a handful of cipher calls for any number of values.

Source: RFC 4493 (AES-CMAC), RFC 5297 (AES-SIV). The result equals the one-by-one implementations byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.cmac import CMAC

from privacy.ragged import BLOCK, Bytes, Group, Lengths, Ragged, Rows, clear_padding

_Encrypt = Callable[[Bytes], Bytes]
_ZERO = bytes(BLOCK)


class ColumnarCmac:
    """AES-CMAC of every value of a column.

    Args:
        key: An AES key of 16, 24 or 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._encrypt = _block_cipher(key)
        k1 = _double(self._encrypt(np.zeros((1, BLOCK), np.uint8)).tobytes())
        self._last_masks = np.frombuffer(k1 + _double(k1), np.uint8).reshape(2, BLOCK)

    def one(self, message: bytes) -> bytes:
        """The tag of one message."""
        mac = CMAC(algorithms.AES(self._key))
        mac.update(message)
        return mac.finalize()

    def tags(self, values: Ragged) -> Bytes:
        """The tags of a column.

        Returns:
            uint8, (n, 16).
        """
        tags = np.empty((len(values), BLOCK), np.uint8)
        for group in values.groups():
            tags[group.rows] = self.tags_of_blocks(group.blocks, group.lengths)
        for row in values.long_rows():
            tags[row] = np.frombuffer(self.one(values.value(row)), np.uint8)
        return tags

    def tags_of_blocks(self, blocks: Bytes, lengths: Lengths) -> Bytes:
        """The tags of messages of the same number of blocks, zero padded (see `privacy.ragged.Group`)."""
        before = blocks.shape[1] - BLOCK
        last = blocks[:, before:].copy()
        partial = lengths - before < BLOCK
        rows = partial.nonzero()[0]
        last[rows, lengths[rows] - before] = 0x80
        _xor_into(last, self._last_masks[partial.astype(np.intp)])
        if not before:
            return self._encrypt(last)
        state = self._encrypt(blocks[:, :BLOCK].copy())
        for at in range(BLOCK, before, BLOCK):
            _xor_into(state, blocks[:, at : at + BLOCK].copy())
            state = self._encrypt(state)
        _xor_into(last, state)
        return self._encrypt(last)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Sealed values of similar length.

    Attributes:
        rows: Where they stand in the column.
        data: Synthetic IV, then ciphertext, zero padded. uint8, (n, whatever the longest needs).
        lengths: 16 + the length of the value.
    """

    rows: Rows
    data: Bytes
    lengths: Lengths


class ColumnarSiv:
    """AES-SIV (deterministic) of the values of a column, under the same associated data.

    Args:
        key: 32, 48 or 64 bytes; the first half authenticates, the second encrypts.
        associated: The strings of associated data, in order.
    """

    def __init__(self, key: bytes, associated: Sequence[bytes]) -> None:
        half = len(key) // 2
        self._library = AESSIV(key)
        self._associated = list(associated)
        self._mac = ColumnarCmac(key[:half])
        self._encrypt = _block_cipher(key[half:])
        chained = self._mac.one(_ZERO)
        for string in associated:
            chained = _xor(_double(chained), self._mac.one(string))
        self._short_masks = np.frombuffer(chained + _double(chained), np.uint8).reshape(2, BLOCK)
        shifted = [bytes(start) + chained + bytes(BLOCK - start) for start in range(BLOCK + 1)]
        self._long_masks = np.frombuffer(b"".join(shifted), np.uint8).reshape(-1, 2 * BLOCK)

    def seal(self, values: Ragged) -> Iterator[Sealed]:
        """Seal a column, a group of similar lengths at a time, but for its `long_rows`: those are for `one`."""
        for group in values.groups():
            yield Sealed(group.rows, self._seal_group(group), BLOCK + group.lengths)

    def one(self, value: bytes) -> bytes:
        """Synthetic IV and ciphertext of one value."""
        return self._library.encrypt(value, self._associated)

    def _seal_group(self, group: Group) -> Bytes:
        plain, lengths = group.blocks, group.lengths
        tags = self._mac.tags_of_blocks(*self._authenticated(plain, lengths))
        sealed = np.empty((len(lengths), BLOCK + plain.shape[1]), np.uint8)
        sealed[:, :BLOCK] = tags
        stream = self._key_stream(tags, plain.shape[1] // BLOCK)
        _xor_into(stream, plain)
        clear_padding(stream, lengths)
        sealed[:, BLOCK:] = stream
        return sealed

    def _authenticated(self, plain: Bytes, lengths: Lengths) -> tuple[Bytes, Lengths]:
        """What the synthetic IV is the CMAC of: the last step of S2V (RFC 5297, section 2.4)."""
        message = plain.copy()
        if plain.shape[1] == BLOCK:
            is_short = lengths < BLOCK
            short = is_short.nonzero()[0]
            message[short, lengths[short]] = 0x80
            _xor_into(message, self._short_masks[is_short.astype(np.intp)])
            return message, np.full(len(lengths), BLOCK)
        # the 16 bytes to change end where the value ends, so they lie in the last two blocks
        last = message[:, -2 * BLOCK :].copy()
        _xor_into(last, self._long_masks[lengths - plain.shape[1] + BLOCK])
        message[:, -2 * BLOCK :] = last
        return message, lengths

    def _key_stream(self, tags: Bytes, blocks: int) -> Bytes:
        """The CTR key stream; with bits 31 and 63 cleared the low 32 bits never carry (RFC 5297, section 2.5)."""
        first = tags.copy()
        first[:, 8] &= 0x7F
        first[:, 12] &= 0x7F
        if blocks == 1:
            return self._encrypt(first)
        counters = np.repeat(first[:, None, :], blocks, axis=1)
        counters.view(">u4")[:, :, 3] += np.arange(blocks, dtype=np.uint32)
        return self._encrypt(counters.reshape(-1, BLOCK)).reshape(len(tags), -1)


def _block_cipher(key: bytes) -> _Encrypt:
    """AES on every row of a contiguous (n, 16) matrix."""
    # ECB is the bare block cipher: the modes are built from it above
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305

    def encrypt(blocks: Bytes) -> Bytes:
        # a bytearray, because what is encrypted is then XORed in place
        return np.frombuffer(bytearray(encryptor.update(blocks.data)), np.uint8).reshape(-1, BLOCK)

    return encrypt


def _xor_into(target: Bytes, other: Bytes) -> None:
    """`target ^= other` for contiguous matrices of whole blocks, eight bytes at a time."""
    words = target.view(np.uint64)
    words ^= other.view(np.uint64)


def _double(block: bytes) -> bytes:
    """Multiply by x in GF(2^128) (RFC 4493, section 2.3)."""
    number = int.from_bytes(block, "big") << 1
    return (number ^ (number >> 128) * (1 << 128 | 0x87)).to_bytes(BLOCK, "big")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
