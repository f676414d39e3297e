"""The keyring file: private, durable, never overwritten, and silent about its keys."""

import base64
import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from privacy import Keyring, KeyringError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keyring.json"


def test_keyring_is_private_and_loads_when_created(path: Path) -> None:
    created = Keyring.create(str(path))
    loaded = Keyring.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert created.primary_id == loaded.primary_id == "k1"
    assert created.token_key("k1") == loaded.token_key("k1")
    assert len(loaded.token_key("k1")) == len(loaded.sealing_key(loaded.sealing_id)) == 64
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_keyring_is_not_overwritten_when_it_exists(path: Path) -> None:
    Keyring.create(path)
    before = path.read_bytes()
    with pytest.raises(KeyringError) as raised:
        Keyring.create(path)
    assert str(raised.value) == (
        f"there is a keyring at {path}: expected no file, for overwriting one makes its tokens unreadable; "
        "rotate it, or choose another path"
    )
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_one_keyring_wins_when_many_are_created_at_once(path: Path) -> None:
    def create(_: int) -> bytes | None:
        try:
            return Keyring.create(path).token_key("k1")
        except KeyringError:
            return None

    with ThreadPoolExecutor(4) as pool:
        keys = [key for key in pool.map(create, range(8)) if key]
    assert keys == [Keyring.load(path).token_key("k1")]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_keyring_is_refused_when_others_may_use_it(path: Path, mode: int) -> None:
    Keyring.create(path)
    path.chmod(mode)
    with pytest.raises(KeyringError) as raised:
        Keyring.load(path)
    assert str(raised.value) == (
        f"the keyring {path} is open to others (mode 0{mode:o}): expected 0600; run chmod 600 {path}, "
        "and replace the keys if others had access"
    )


def test_keyring_loads_when_owner_may_only_read_it(path: Path) -> None:
    Keyring.create(path)
    path.chmod(0o400)
    assert Keyring.load(path).primary_id == "k1"


def test_message_says_how_to_make_one_when_keyring_is_missing(path: Path) -> None:
    with pytest.raises(KeyringError) as raised:
        Keyring.load(path)
    assert str(raised.value) == f"no keyring at {path}: expected the file that `signalbox keys create` makes"


def test_message_is_one_line_when_path_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(KeyringError) as raised:
        Keyring.load(tmp_path)
    assert str(raised.value) == (
        f"the keyring {tmp_path} cannot be read (Is a directory): expected a file of ours, mode 0600"
    )


def test_message_is_one_line_when_directory_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(KeyringError, match=r"cannot be written \(File exists\): expected a directory we may write to"):
        Keyring.create(tmp_path / "keys" / "keyring.json")


DISK_FULL = """
import resource, sys
from privacy import Keyring, KeyringError
action, path = sys.argv[1:]
keyring = Keyring.load(path) if action == "rotate" else None
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
try:
    keyring.rotate() if keyring else Keyring.create(path)
except KeyringError as error:
    print(error)
"""


def out_of_space(action: str, path: Path) -> str:
    command = [sys.executable, "-c", DISK_FULL, action, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_nothing_is_left_when_disk_is_full_at_creation(path: Path) -> None:
    message = out_of_space("create", path)
    assert message == (f"the keyring {path} cannot be written (File too large): expected a directory we may write to")
    assert list(path.parent.iterdir()) == []


def test_keyring_stays_as_it_was_when_disk_is_full_at_rotation(path: Path) -> None:
    Keyring.create(path)
    before = path.read_bytes()
    assert "cannot be written (File too large)" in out_of_space("rotate", path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_old_key_stays_readable_and_join_key_the_same_when_rotated(path: Path) -> None:
    first = Keyring.create(path)
    second = first.rotate()
    assert (first.primary_id, second.primary_id) == ("k1", "k2")
    assert second.token_key_ids == ("k1", "k2")
    assert second.token_key("k1") == first.token_key("k1") != second.token_key("k2")
    assert second.join_key("customer") == first.join_key("customer")
    assert second.sealing_key(second.sealing_id) == first.sealing_key(first.sealing_id)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_link_stays_when_the_keyring_it_leads_to_is_rotated(path: Path, tmp_path: Path) -> None:
    Keyring.create(path)
    link = tmp_path / "keyring.json"
    link.symlink_to(path)
    assert Keyring.load(link).rotate().token_key_ids == ("k1", "k2")
    assert link.is_symlink()
    assert Keyring.load(path).token_key_ids == ("k1", "k2")
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


def test_no_key_is_lost_when_rotations_meet(path: Path) -> None:
    keyring = Keyring.create(path)
    with ThreadPoolExecutor(4) as pool:
        rotated = list(pool.map(lambda _: keyring.rotate(), range(8)))
    last = Keyring.load(path)
    assert last.token_key_ids == tuple(f"k{number}" for number in range(1, 10))
    assert all(last.token_key(one.primary_id) == one.token_key(one.primary_id) for one in rotated)


def test_key_id_is_not_used_again_when_an_old_key_was_removed(path: Path) -> None:
    Keyring.create(path).rotate()
    document = json.loads(path.read_text())
    del document["keys"][0]
    path.write_text(json.dumps(document))
    assert Keyring.load(path).rotate().token_key_ids == ("k2", "k3")


def test_join_keys_are_unrelated_when_purposes_differ(path: Path) -> None:
    keyring = Keyring.create(path)
    assert len({keyring.join_key("customer"), keyring.join_key("fingerprint"), keyring.join_key("")}) == 3


def test_message_names_the_keys_there_are_when_one_is_unknown(path: Path) -> None:
    keyring = Keyring.create(path).rotate()
    with pytest.raises(KeyringError) as raised:
        keyring.token_key("k9")
    assert str(raised.value) == (
        f"the keyring {path} lacks the key of this token: expected one of k1, k2; use the keyring that made it"
    )


def test_no_key_is_shown_when_keyring_is_printed(path: Path) -> None:
    keyring = Keyring.create(path).rotate()
    assert repr(keyring) == f"Keyring('{path}', primary='k2', tokens=['k1', 'k2'])"
    document = json.loads(path.read_text())
    secrets = [*(entry["key"] for entry in document["keys"]), document["customers"]["nodes"]]
    shown = repr(keyring) + repr(keyring._file)
    assert all(text not in shown and repr(base64.b64decode(text)) not in shown for text in secrets)


@pytest.mark.parametrize("spread", [pickle.dumps, copy.copy, copy.deepcopy])
def test_keyring_refuses_when_it_is_pickled_or_copied(path: Path, spread: Callable[[Any], Any]) -> None:
    keyring = Keyring.create(path)
    with pytest.raises(KeyringError, match="cannot be pickled or copied: load it where it is needed"):
        spread(keyring)


def change(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        *parents, last = place.split(".")
        target: Any = document
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[last] = value

    return apply


DAMAGE = [
    (change("keys", []), "keys", "a list of token keys"),
    (change("keys", {}), "keys", "a list of token keys"),
    (change("keys", ["k1"]), "keys[0]", "id, created and key as text"),
    (change("keys.0.id", 1), "keys[0]", "id, created and key as text"),
    (change("keys.0.id", "k.1"), "keys[0].id", "a letter and a number"),
    (change("keys.0.id", "k2"), "keys", "a different id for every key"),
    (change("keys.0.key", "c2hvcnQ="), "keys[0].key", "64 bytes in base64"),
    (change("keys.0.key", "not base64"), "keys[0].key", "64 bytes in base64"),
    (change("keys.0.state", "primary"), "keys", "readable keys, then one primary key as the last"),
    (change("keys.1.state", "readable"), "keys", "readable keys, then one primary key as the last"),
    (change("join", None), "join", "id, created and key as text"),
    (change("join.key", "c2hvcnQ="), "join.key", "32 bytes in base64"),
    (change("sealing.key", "c2hvcnQ="), "sealing.key", "64 bytes in base64"),
    (change("customers", None), "customers", "forgotten as a list and nodes as text"),
    (change("customers.nodes", None), "customers", "forgotten as a list and nodes as text"),
    (change("customers.nodes", "not base64"), "customers", "1 nodes of 16 bytes"),
    (change("customers.forgotten", ["00000000000000FF"]), "customers.forgotten", "numbers of 16 hexadecimal digits"),
    (change("customers.forgotten", [255]), "customers.forgotten", "numbers of 16 hexadecimal digits"),
    (change("customers.forgotten", ["00000000000000ff"]), "customers", "64 nodes of 16 bytes"),
]


@pytest.mark.parametrize(("apply", "place", "expected"), DAMAGE)
def test_message_names_the_place_when_keyring_is_damaged(
    path: Path, apply: Callable[[dict[str, Any]], None], place: str, expected: str
) -> None:
    Keyring.create(path).rotate()
    document = json.loads(path.read_text())
    apply(document)
    path.write_text(json.dumps(document))
    with pytest.raises(KeyringError) as raised:
        Keyring.load(path)
    assert str(raised.value) == (
        f"the keyring {path} is damaged at {place}: expected {expected}; restore it from your backup"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"keys": []}'])
def test_file_is_refused_when_it_is_no_keyring(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keyring.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyringError) as raised:
        Keyring.load(path)
    assert str(raised.value) == f"{path} is no keyring: expected the JSON file that `signalbox keys create` makes"
    assert raised.value.__context__ is None


def test_keyring_is_refused_when_its_version_is_unknown(path: Path) -> None:
    Keyring.create(path)
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(KeyringError) as raised:
        Keyring.load(path)
    assert str(raised.value) == (
        f"the keyring {path} is of another version: expected 1 or 2; use the Signalbox that made it"
    )
