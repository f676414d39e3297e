"""The data dictionary says what the contracts say."""

from __future__ import annotations

from pathlib import Path

from schemas.contracts import contract, contract_names
from schemas.dictionary import dictionary

DOCUMENT = Path(__file__).parents[3] / "docs" / "data-dictionary.md"


def test_document_is_in_step_when_contracts_change():
    assert DOCUMENT.read_text(encoding="utf-8") == dictionary(), "run make dictionary"


def test_every_field_has_a_line_when_it_stands_in_a_contract():
    sections = dictionary().split("\n## ")[1:]
    for name, section in zip(contract_names(), sections, strict=True):
        named = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
        assert named == list(contract(name).polars)


def test_line_tells_type_class_and_limits_when_the_field_has_them():
    lines = dictionary().splitlines()
    assert "| `msisdn` | string or null | msisdn | Telephone number, E.164. |" in lines
    assert "| `fault_count` | long |  | Faults that belong to the incident. At least 0. |" in lines
    assert "| `planned` | boolean |  | True for announced maintenance work. Default false. |" in lines
