"""JSON values that nobody expects, as texts: some are no JSON, many hold a canary, which no message may quote."""

from __future__ import annotations

import orjson

CANARIES = ("canary", "\u00d6d\u00f6n", "4919131752989213")
CANARY = f"{CANARIES[0]}-{CANARIES[1]}"

_WORDS = (
    "", " ", "0", "-1", "1e3", "1.5", "007", "true", "False", "null", "NaN", "infinity", "-infinity", CANARY,
    CANARIES[2], "-" + CANARIES[2], "9" * 19, "9" * 20, "\u0663\u0664", "\u00b2", "\uff11\uff12", "\u0000",
    f"a\u0000{CANARY}", f"\u202e{CANARY}\u200f", "\ufeff", "e\u0301", "\U0001f4f1", "\ud7ff\ue000\uffff",
    "I\u0307\u0130", "unknown", "UNKNOWN_CANARY", " cleared ", "GAP_CREATE", "x*", "0x1f", "{a,b}", ";,;", "msisdn-",
    "18", "g0", "__debezium_unavailable_value",
)  # fmt: skip
_TIMES = (
    "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-00:01", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "2026-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z", "2026-06-01T24:00:00Z", "2026-06-30T23:59:60Z", "2026-06-01T12:00:00",
    "2026-06-01T12:00:00.123456789+0530", "2026-06-01", "2026-W01-1", "20260601T12", "0000-00-00",
    "2999-01-01T00:00:00Z", "991231235959-9999", "00991231235959+0000", "2602300000002B0000",
)  # fmt: skip
_NUMBERS = (
    "0", "-0", "1", "-1", "17", "1.0", "0.5", "-0.0", "1e3", "1E-400", "1e308", "1e400", "86400", "9999999", "10000000",
    "-10000000", "9999999999999", "2147483648", "9007199254740993", "253402300799", "253402300800", "253402300800000",
    "253402300799999999", "253402300800000000", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616", "1" + "0" * 40, "9" * 400, "00", "+1",
    "0x10", "1_0", "NaN", "Infinity", "-Infinity", CANARIES[2], f"-{CANARIES[2]}.5",
)  # fmt: skip
_OTHERS = (
    "null", "null", "true", "false", "[]", "{}", "[[]]", "[null]", "[{}]", '[""]', '{"":{}}', '{"id":null}', "nul",
    '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d"', '"\\u0000"', '"\\x"', '"a\nb"', "[1,2", f'["{CANARY}",1,null,{{}}]',
    f'{{"{CANARY}":"{CANARY}"}}', f'[{{"id":"{CANARY}","name":"{CANARY}"}}]', '{"schema":null,"payload":{}}',
    '{"scale":0,"value":"EHU="}', '{"scale":-18,"value":"' + "/w" * 31 + '=="}', '{"scale":-99999999,"value":"EHU="}',
    '{"scale":true,"value":"%%%="}', '{"scale":2,"value":""}', "[0.5,true]", '["0x1F","3-0x1F"]',
)  # fmt: skip
_NESTED = tuple(
    opened * depth + "1" + closed * depth for depth in (8, 60, 70) for opened, closed in (("[", "]"), ('{"a":', "}"))
)
_MANY = (
    "[" + ",".join([f'"{CANARY}"'] * 60) + "]",
    "[" + ",".join(map(str, range(60))) + "]",
    "[" + ",".join(["{}"] * 60) + "]",
    "{" + ",".join(f'"{CANARY}-{i}":{i}' for i in range(60)) + "}",
    f'"{CANARY * 20}"',
    f'"{CANARY * 200}"',
)

_TEXTS = [orjson.dumps(text) for text in (*_WORDS, *_TIMES)]
ODD_VALUES = tuple([*_TEXTS, *(text.encode() for text in (*_NUMBERS, *_OTHERS))] * 2) + tuple(
    text.encode() for text in (*_NESTED, *_MANY)
)
HUGE_VALUES = (
    b'"' + b"A" * 1_048_576 + b'"',
    b'"' + CANARY.encode() * 10_000 + b'"',
    b"[" + b",".join([b'"x"'] * 30_000) + b"]",
    b"[" + b",".join([b"{}"] * 30_000) + b"]",
    b"[" * 30_000,
    b'{"a":' * 30_000,
    b"9" * 30_000,
)


def _may_stand_anywhere(value: bytes) -> bool:
    """It is JSON, and does not nest deeply."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return value.count(b"[") + value.count(b'{"a":') < 60


UNKNOWN_VALUES = tuple(filter(_may_stand_anywhere, ODD_VALUES))
UNKNOWN_NAMES = tuple(
    map(orjson.dumps, ("", " ", "\u0000", "x-more", CANARY, "\u202ex", "x" * 300, "\ud7ff", "0", "__proto__"))
)
