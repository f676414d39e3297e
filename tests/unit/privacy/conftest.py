"""A keyring whose keys never change, so that what is derived from them can be written down."""

import base64
import json
from pathlib import Path

import pytest

from privacy import Keyring


def entry(key_id: str, first: int, size: int) -> dict[str, str]:
    key = bytes((first + at) % 256 for at in range(size))
    return {"id": key_id, "created": "2025-01-01T00:00:00+00:00", "key": base64.b64encode(key).decode()}


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    document = {
        "version": 1,
        "keys": [entry("k1", 0, 64) | {"state": "primary"}],
        "join": entry("j1", 100, 32),
        "sealing": entry("s1", 200, 64),
    }
    path = tmp_path / "keyring.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return Keyring.load(path)
