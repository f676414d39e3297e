"""Redaction: what is personal in free text gives way to a marker of its class.

Found are, in this order, so that none is taken for a part of another:

- e-mail addresses;
- IBANs of any country of the registry, in one piece or in groups;
- payment cards, in one piece or in their usual groups (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4);
- national ids of Spain, Italy, France, Poland, Finland and Brazil;
- telephone numbers: international (+ or 00), national with a leading 0, and North American in groups 3-3-4;
- names that are given: the whole name in either order, in any case; and each part of it, from three letters on, where
  it is written with a capital.

IBANs, cards and ids must have their check digits right, and none of them may touch another Latin letter or digit:
ticket numbers, IMEIs and SIM numbers stay. Digits of Arabic, Persian, Indian, Thai and full-width writing count as
digits.

Not found: telephone numbers without a leading 0, + or grouping (`447700900123`, Spain's `612 345 678`), names that are
not given, are inflected, or are misspelt, addresses, and whatever is spelt out in words. By chance some 4 % of all
16-digit numbers pass for a card, and 3 % of all 11-digit ones for an id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import polars as pl

from privacy.check_digits import IBAN_LENGTHS, NATIONAL_IDS, is_card, is_iban

Span = tuple[int, int]

_SPACE = " \u00a0\u202f"
_APART = rf"[{_SPACE}.-]"
_END = r"(?![0-9A-Za-z])"
_FILLER = "\0"
_SIGMA, _FINAL_SIGMA = "\u03c3", "\u03c2"

# of every text that holds something to find but a name; checked over whole columns, so it may say yes too often
_CANDIDATE = r"@|[A-Za-z]{2}\d{2}|\d(?:.{0,3}?\d){6}"

_ZEROS = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0xFF10)
"""Of Arabic, Persian, Devanagari, Bengali, Thai and full-width digits; the other nine follow each."""
_DIGITS = {zero + value: str(value) for zero in _ZEROS for value in range(10)}

# RFC 5321 and 5322: at most 64 characters before the @, in dot-atoms; letters may be of any alphabet (RFC 6531)
_EMAIL = re.compile(
    r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,126}(?:xn--[a-z0-9-]{1,59}|[^\W\d_]{2,63})",
    re.IGNORECASE,
)
# where a match may begin: the lookbehind comes after what is looked for, for a search for characters is quick
_IBAN_START = re.compile(r"[A-Za-z]{2}\d{2}(?<![0-9A-Za-z].{4})", re.ASCII | re.DOTALL)
_CARD_START = re.compile(r"\d(?<![0-9A-Za-z].)", re.ASCII | re.DOTALL)
_ID_START = re.compile(r"[0-9A-Za-z](?<![0-9A-Za-z].)(?=[A-Za-z]{0,5}[ -]?\d)", re.ASCII | re.DOTALL)
_PHONE_START = re.compile(r"[+(0-9](?<![0-9A-Za-z+].)", re.ASCII | re.DOTALL)

_CARDS = [
    re.compile(pattern + _END, re.ASCII)
    for pattern in (
        rf"\d{{4}}(?P<apart>{_APART})(?:\d{{4}}(?P=apart)){{3}}\d{{3}}",
        rf"\d{{4}}(?P<apart>{_APART})(?:\d{{4}}(?P=apart)){{2}}\d{{4}}",
        rf"\d{{4}}(?P<apart>{_APART})\d{{6}}(?P=apart)\d{{4,5}}",
        r"\d{13,19}",
    )
]
_IDS = [(re.compile(f"(?:{pattern.pattern}){_END}", re.ASCII), is_id) for pattern, is_id in NATIONAL_IDS]
_PHONES = [
    re.compile(pattern + _END, re.ASCII)
    for pattern in (
        # E.164: 8 to 15 digits, the first no zero
        rf"(?:\+|00)[{_SPACE}]?\(?[1-9](?:[{_SPACE}()./-]{{0,3}}\d){{7,14}}",
        r"0[1-9]\d{8,10}",
        rf"\(?0[1-9]\d{{1,4}}\)?(?:[{_SPACE}./-]{{1,2}}\d{{2,8}}){{1,4}}",
        rf"0[1-9](?:{_APART}\d\d){{4}}",
        rf"\(?0[1-9]\)?(?:[{_SPACE}-]\d{{4}}[{_SPACE}-]\d{{4}}|[{_SPACE}-]\d{{8}})",
        rf"(?:1{_APART})?\(?[2-9]\d\d\)?[{_SPACE}.-]{{1,2}}[2-9]\d\d{_APART}\d{{4}}",
    )
]
_FEWEST_DIGITS = 9
"""Of a national telephone number; with fewer it is a date or an amount as likely."""


def redact(column: pl.Series, names: pl.Series | None = None) -> pl.Series:
    """Replace what is personal in a column of texts by markers such as `[email]`.

    Texts without an @, seven digits close together or a part of their name are told in one pass over the column and are
    left alone; the others are worked on one by one, at some 40 µs each.

    Args:
        column: The texts.
        names: For each text the full name of its customer, or null.

    Returns:
        String, the same length and name, nulls where they were. Text is in Unicode's normal form C.

    Raises:
        TypeError: A column is not String.
        ValueError: The columns differ in length.
    """
    texts = _normal(column)
    known = pl.Series("name", [None] * len(texts), pl.String) if names is None else _normal(names)
    if len(known) != len(texts):
        raise ValueError(f"expected a name for each of {len(texts)} texts, got {len(known)}: give null where unknown")
    chosen = (texts.str.contains(_CANDIDATE) | _mentions(texts, known)).fill_null(value=False)
    if not chosen.any():
        return texts
    rows = chosen.arg_true()
    redacted = [redact_text(text, name) for text, name in zip(texts.gather(rows), known.gather(rows), strict=True)]
    return texts.scatter(rows, redacted)


def redact_text(text: str, name: str | None = None) -> str:
    """Replace what is personal in one text, in normal form C: the definition that `redact` keeps to."""
    found: list[tuple[int, int, str]] = []
    rest = text.translate(_DIGITS)
    for marker, find in _FINDERS:
        if spans := _apart(find(rest)):
            found += [(*span, marker) for span in spans]
            # out of sight for the finders after it, and no neighbour that could hide anything from them
            rest = _replaced(rest, [(start, end, _FILLER * (end - start)) for start, end in spans])
    if name:
        found += [(*span, "[name]") for span in _apart(_names(rest, name))]
    return _replaced(text, sorted(found)) if found else text


def _replaced(text: str, spans: list[tuple[int, int, str]]) -> str:
    pieces, at = [], 0
    for start, end, instead in spans:
        pieces += [text[at:start], instead]
        at = end
    return "".join([*pieces, text[at:]])


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, of those that overlap the first, and of those that begin alike the longest."""
    kept: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def _emails(text: str) -> Iterator[Span]:
    # most texts with digits hold no address
    return (match.span() for match in _EMAIL.finditer(text)) if "@" in text else iter(())


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN_START.finditer(text):
        wanted = IBAN_LENGTHS.get(match[0][:2].upper(), 0)
        chars: list[str] = []
        at = match.start()
        while len(chars) < wanted and at < len(text):
            if text[at].isascii() and text[at].isalnum():
                chars.append(text[at])
            elif text[at] not in _SPACE + "-" or text[at - 1] in _SPACE + "-":
                break
            at += 1
        is_whole = at == len(text) or not (text[at].isascii() and text[at].isalnum())
        if is_whole and chars and is_iban("".join(chars).upper()):
            yield match.start(), at


def _cards(text: str) -> Iterator[Span]:
    for start in _CARD_START.finditer(text):
        for pattern in _CARDS:
            match = pattern.match(text, start.start())
            if match and is_card(_digits(match[0])):
                yield match.span()


def _ids(text: str) -> Iterator[Span]:
    for start in _ID_START.finditer(text):
        for pattern, is_id in _IDS:
            match = pattern.match(text, start.start())
            if match and is_id(re.sub(r"[ .-]", "", match[0]).upper()):
                yield match.span()


def _phones(text: str) -> Iterator[Span]:
    for start in _PHONE_START.finditer(text):
        for pattern in _PHONES:
            match = pattern.match(text, start.start())
            if match and len(_digits(match[0])) >= (8 if match[0][0] == "+" else _FEWEST_DIGITS):
                yield match.span()


def _names(text: str, name: str) -> Iterator[Span]:
    """Where the name is said, whole or in part."""
    parts = [_fold(part) for part in _parts(name)]
    folded = _fold(text)
    for order in (parts, parts[-1:] + parts[:-1]):
        if len(parts) > 1:
            between = r"[\s,.-]{1,3}".join(map(re.escape, order))
            yield from (match.span() for match in re.finditer(_bounded(between, order[0] + order[-1]), folded))
    for part in parts:
        for match in re.finditer(_bounded(re.escape(part), part), folded):
            if len(part) >= _shortest(part) and (not _has_case(part) or text[match.start()].isupper()):
                yield match.span()


def _bounded(pattern: str, letters: str) -> str:
    """Not within a word; scripts without case mostly put no space between words, or join particles to them."""
    return rf"(?<!\w){pattern}(?!\w)" if _has_case(letters) else pattern


def _has_case(text: str) -> bool:
    return text.lower() != text.upper()


def _shortest(part: str) -> int:
    return 3 if _has_case(part) else 2


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[\s,;.]+", name) if any(map(str.isalpha, part))]


def _fold(text: str) -> str:
    """Lower case, character by character, so that places stay what they are."""
    return "".join(char.lower()[0] for char in text).replace(_FINAL_SIGMA, _SIGMA)


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _normal(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if column.dtype != pl.String:
        raise TypeError(f"column {column.name!r} is {column.dtype}: expected String; cast it first")
    return column.str.normalize("NFC")


def _mentions(texts: pl.Series, names: pl.Series) -> pl.Series:
    """Whether a text holds a part of its name, in any case. May say yes too often, for it looks into words too."""
    if names.null_count() == len(names):
        return pl.repeat(value=False, n=len(texts), eager=True)
    pairs = pl.DataFrame({"text": _folded(texts), "part": _folded(names).str.split(" ")}).with_row_index("row")
    said = (
        pairs.explode("part")
        .filter((pl.col("part") != "") & pl.col("text").str.contains(pl.col("part"), literal=True))["row"]
        .unique()
    )
    return pairs["row"].is_in(said.implode())


def _folded(column: pl.Series) -> pl.Series:
    spaced = column.str.replace_all(r"[\s,;.]+", " ").str.to_lowercase()
    return spaced.str.replace_all(_FINAL_SIGMA, _SIGMA, literal=True).str.replace_all("i\u0307", "i", literal=True)


_FINDERS: tuple[tuple[str, Callable[[str], Iterator[Span]]], ...] = (
    ("[email]", _emails),
    ("[iban]", _ibans),
    ("[card]", _cards),
    ("[national_id]", _ids),
    ("[phone]", _phones),
)
