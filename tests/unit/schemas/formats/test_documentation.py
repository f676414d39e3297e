from __future__ import annotations

import re
from pathlib import Path

from schemas.formats import known_formats
from schemas.formats.catalog import STREAMS
from schemas.formats.salesforce_cdc import COLUMN_OF_FIELD
from schemas.formats.tmf635 import COLUMN_OF_CHARACTERISTIC
from schemas.formats.tmf639 import CONTAINMENT, RELIANCE

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
FOLDERS = (HERE, ROOT / "tests" / "properties", ROOT / "tests" / "upstream")


def test_tests_exist_when_the_page_names_them() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    paths = [path for folder in FOLDERS for path in folder.glob("test_*.py")]
    there = {name for path in paths for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    assert len(named) > 40
    assert named - there == set()


def test_formats_are_documented_when_they_are_known() -> None:
    headings = " ".join(re.findall(r"^## (.*)$", PAGE, re.MULTILINE))
    for stream in STREAMS:
        assert all(f"`{form}`" in headings for form in known_formats(stream)[1:])


def test_fields_are_documented_when_they_are_read() -> None:
    assert {field for field in COLUMN_OF_FIELD if f"`{field}`" not in PAGE} == set()


def test_characteristics_are_documented_when_they_are_read() -> None:
    written = {word.lower() for word in re.findall(r"`(\w+)`", PAGE)}
    assert COLUMN_OF_CHARACTERISTIC.keys() - written == set()


def test_relationships_are_documented_when_they_are_read() -> None:
    assert {kind for kind in CONTAINMENT | RELIANCE if f"`{kind}`" not in PAGE.lower()} == set()
