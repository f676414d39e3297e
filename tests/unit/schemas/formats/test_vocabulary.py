from __future__ import annotations

import tracemalloc

import pytest

from schemas.formats.vocabulary import channels, services, words


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["voice"], ["voice"]),
        (["svc-voice-07"], ["voice"]),
        (["VoLTE"], ["voice"]),
        (["mobileData01"], ["data"]),
        (["SMS", "sms-2"], ["sms"]),
        (["internet", "voice"], ["data", "voice"]),
        (["voice+data bundle"], ["voice", "data"]),
        (["database-7"], ["database-7"]),
        (["", "OT_EQUIPMENT"], ["", "OT_EQUIPMENT"]),
        ([], []),
    ],
)
def test_services_read_when_their_names_hold_a_known_word(names: list[str], read: list[str]) -> None:
    assert services(names) == read


def test_channels_keep_the_customers_order_when_some_are_unknown() -> None:
    assert channels([" SMS", "fax", "E-Mail", "text", "WhatsApp"]) == ["sms", "email", "whatsapp"]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("", []),
        ("a; b,c", ["a", "b", "c"]),
        ("{a,b}", ["a", "b"]),
        (["a", None, "", " b "], ["a", "b"]),
    ],
)
def test_words_read_when_a_list_is_written_in_any_form(value: object, read: list[str]) -> None:
    assert words(value, "place") == read


def test_memory_stays_free_when_the_names_of_services_are_very_long() -> None:
    tracemalloc.start()
    try:
        for i in range(100):
            assert services([name := f"{i} " + "-" * 100_000]) == [name]
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
