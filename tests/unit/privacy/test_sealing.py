"""Sealed dead letters: the same in every replay, opened only in their context."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from privacy import Keyring, KeyringError, Sealer

SEALING_KEY = bytes((200 + at) % 256 for at in range(64))


@pytest.mark.parametrize("data", [b"", b"\x00", b"447700900123", bytes(100_000)])
def test_data_comes_back_when_context_is_the_same(keyring: Keyring, data: bytes) -> None:
    sealed = Sealer(keyring).seal(data, b"crm.changes/0/17")
    assert Sealer(Keyring.load(keyring.path)).open(sealed, b"crm.changes/0/17") == data


def test_format_describes_itself_when_opened_by_hand(keyring: Keyring) -> None:
    """Dead letters are stored: this layout is a persisted format."""
    sealed = Sealer(keyring).seal(b"447700900123", b"context")
    assert sealed[:4] == b"\x01\x02s1"
    assert AESSIV(SEALING_KEY).decrypt(sealed[4:], [b"\x01\x02s1", b"context"]) == b"447700900123"


def test_sealed_bytes_are_equal_when_replayed_and_differ_when_context_differs(keyring: Keyring) -> None:
    sealer = Sealer(keyring)
    assert sealer.seal(b"data", b"a") == Sealer(keyring).seal(b"data", b"a")
    assert sealer.seal(b"data", b"a") != sealer.seal(b"data", b"b")


def test_data_opens_when_token_keys_were_rotated(keyring: Keyring) -> None:
    sealed = Sealer(keyring).seal(b"data", b"context")
    assert Sealer(keyring.rotate()).open(sealed, b"context") == b"data"


def test_data_does_not_open_when_context_or_bytes_differ(keyring: Keyring) -> None:
    sealer = Sealer(keyring)
    sealed = sealer.seal(b"data", b"context")
    for changed, context in ((sealed, b"other"), (sealed[:-1], b"context"), (sealed + b"\0", b"context")):
        with pytest.raises(KeyringError) as raised:
            sealer.open(changed, context)
        assert str(raised.value) == (
            f"the sealed bytes do not open with {keyring.path}: expected bytes that this keyring sealed, unchanged and "
            "in this context; use the keyring that sealed them"
        )
        assert raised.value.__context__ is None


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01\x02s1", b"\x02\x02s1" + bytes(16), b"\x01\xff" + bytes(40)])
def test_bytes_are_refused_when_they_are_nothing_sealed(keyring: Keyring, sealed: bytes) -> None:
    with pytest.raises(KeyringError) as raised:
        Sealer(keyring).open(sealed, b"context")
    assert str(raised.value) == ("this is nothing sealed: expected sealed bytes of version 1; give them as stored")


def test_message_names_the_key_we_have_when_another_sealed(keyring: Keyring) -> None:
    sealed = b"\x01\x02s7" + bytes(20)
    with pytest.raises(KeyringError, match=r"lacks the sealing key of this dead letter: expected s1; use the keyring"):
        Sealer(keyring).open(sealed, b"context")
