"""Typed reading of the fields of parsed JSON, naming the place where a type is not the expected one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.codec import parse_time
from schemas.errors import RecordError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one JSON object.

    A field that is missing, null or the empty string reads as None: no format here gives the three different
    meanings.

    Attributes:
        values: The object.
        place: Where the object lies in the record, for messages: `event.alarm`, `events[2]`.
        unknown: By field, how often `word` met one that is not in its vocabulary; inner objects count into it too.
    """

    values: Mapping[str, object]
    place: str = ""
    unknown: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, value: object, place: str = "", unknown: Counter[str] | None = None) -> Fields:
        """The fields of a value that must be an object.

        Raises:
            RecordError: It is something else.
        """
        if not isinstance(value, dict):
            raise wrong_type(place or "value", "an object", value)
        return cls(value, place) if unknown is None else cls(value, place, unknown)

    def at(self, name: str) -> str:
        """The place of a field, for messages."""
        return f"{self.place}.{name}" if self.place else name

    def text(self, name: str) -> str | None:
        """A string; an integer becomes its digits, for identities come as either.

        Raises:
            RecordError: It is something else.
        """
        return text(self.values.get(name), self.at(name))

    def required_text(self, *names: str) -> str:
        """The first of several fields that is given, as `text`.

        Raises:
            RecordError: None is given.
        """
        for name in names:
            found = self.text(name)
            if found is not None:
                return found
        raise RecordError("missing_field", f"{' or '.join(map(self.at, names))}: expected a string, came nothing")

    def word(self, name: str, known: Mapping[str, T], otherwise: T) -> T | None:
        """What a word of a vocabulary means, whatever its case; None where none is given.

        For words that vendors add to: a new one must not cost the record. It reads as `otherwise` and is counted in
        `unknown`, under the field's name, so that it is not guessed in silence.

        Args:
            name: The field.
            known: What each word means, in lower case.
            otherwise: What any other word is taken for.

        Raises:
            RecordError: It is no string.
        """
        came = self.text(name)
        if came is None:
            return None
        word = came.strip().lower()
        if word not in known:
            self.unknown[name] += 1
        return known.get(word, otherwise)

    def integer(self, name: str) -> int | None:
        """A whole number, also as a string of digits.

        Raises:
            RecordError: It is something else.
        """
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 20:
            return int(value)
        raise wrong_type(self.at(name), "an integer", value)

    def required_integer(self, name: str) -> int:
        """A whole number, as `integer`.

        Raises:
            RecordError: It is something else, or is not given.
        """
        found = self.integer(name)
        if found is None:
            raise RecordError("missing_field", f"{self.at(name)}: expected an integer, came nothing")
        return found

    def flag(self, name: str, default: bool) -> bool:
        """A boolean, also as the string `"true"` or `"false"` in any case.

        Raises:
            RecordError: It is something else.
        """
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise wrong_type(self.at(name), "a boolean", value)

    def instant(self, name: str) -> int | None:
        """An ISO 8601 time with an offset, in microseconds since the epoch.

        Raises:
            RecordError: It is something else.
        """
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise wrong_type(self.at(name), "an ISO 8601 string", value)
        try:
            return parse_time(value)
        except RecordError as error:
            raise RecordError(error.reason, f"{self.at(name)}: {error}") from error

    def inner(self, name: str) -> Fields | None:
        """An object.

        Raises:
            RecordError: It is something else.
        """
        value = self.values.get(name)
        return None if value is None else Fields.of(value, self.at(name), self.unknown)

    def required_inner(self, name: str) -> Fields:
        """An object.

        Raises:
            RecordError: It is something else, or is not given.
        """
        found = self.inner(name)
        if found is None:
            raise RecordError("missing_field", f"{self.at(name)}: expected an object, came nothing")
        return found

    def array(self, name: str) -> list[object]:
        """An array; empty where there is none.

        Raises:
            RecordError: It is something else.
        """
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise wrong_type(self.at(name), "an array", value)
        return value

    def objects(self, name: str) -> list[Fields]:
        """An array of objects; one object alone is an array of one.

        Raises:
            RecordError: It is something else.
        """
        if isinstance(self.values.get(name), dict):
            return [Fields.of(self.values[name], self.at(name), self.unknown)]
        return [Fields.of(item, f"{self.at(name)}[{i}]", self.unknown) for i, item in enumerate(self.array(name))]

    def texts(self, name: str) -> list[str]:
        """An array of strings, without nulls and empty strings.

        Raises:
            RecordError: It is something else.
        """
        found = (text(item, f"{self.at(name)}[{i}]") for i, item in enumerate(self.array(name)))
        return [item for item in found if item is not None]


def text(value: object, place: str) -> str | None:
    """A string, None where it is null or empty; an integer becomes its digits.

    Raises:
        RecordError: It is something else.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise wrong_type(place, "a string", value)


def one_of(value: str, known: Mapping[str, str], place: str) -> str:
    """Look a word up in a vocabulary, whatever its case.

    Raises:
        RecordError: It is not in there; the message names the words that are, not the one that came.
    """
    word = known.get(value.strip().lower())
    if word is None:
        raise RecordError("out_of_range", f"{place}: expected {listed(known)}, came another word")
    return word


def listed(words: Iterable[str]) -> str:
    """Words for a message: `a, b or c`, each once, in their order."""
    *most, last = dict.fromkeys(words)
    return f"{', '.join(most)} or {last}" if most else last


def wrong_type(place: str, expected: str, value: object) -> RecordError:
    """The error for a value of another type than the expected one."""
    return RecordError("wrong_type", f"{place}: expected {expected}, came {_type_of(value)}")


def _type_of(value: object) -> str:
    """The JSON type of a value. Never the value: it may be personal."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a fraction"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
