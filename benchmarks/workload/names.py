"""Invented people: names, addresses and numbers in several languages. Nobody here exists."""

# ruff: noqa: RUF001 - names are written as their languages write them
from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Locale:
    """How people of one language are named and where they live."""

    language: str
    dial_prefix: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    streets: tuple[str, ...]
    towns: tuple[str, ...]


LOCALES: tuple[Locale, ...] = (
    Locale(
        "en", "+447700",
        ("Alice", "Brendan", "Chloe", "Declan", "Freya", "Gareth", "Imogen", "Niamh", "Rhys", "Saoirse"),
        ("Ashdown", "Birchall", "Colquhoun", "Fairweather", "Hathersage", "MacInnes", "O'Rourke", "Thistlewood"),
        ("Mill Lane", "Harbour Road", "Chapel Street", "Orchard Close"),
        ("Wexcombe", "Thornby", "Ardmore"),
    ),
    Locale(
        "de", "+491510",
        ("Anke", "Björn", "Dörte", "Florian", "Jürgen", "Käthe", "Lennart", "Sönke", "Ulrike", "Wiebke"),
        ("Aßmann", "Brückner", "Großkopf", "Hägele", "Kühn", "Lüders", "Schäfer-Brandt", "Weiß"),
        ("Lindenallee", "Am Mühlbach", "Gartenweg", "Schützenstraße"),
        ("Oberbrunn", "Neuweiler", "Kleinhagen"),
    ),
    Locale(
        "fr", "+336390",
        ("Aurélie", "Benoît", "Cédric", "Éloïse", "François", "Hélène", "Maëlle", "Noël", "Solène", "Théo"),
        ("Beauséjour", "Châtelain", "D'Aubigné", "Lefèvre", "Moreau-Petit", "Peltier", "Thévenot", "Vasseur"),
        ("rue des Tilleuls", "avenue du Moulin", "chemin Vert", "impasse du Lavoir"),
        ("Saint-Aubry", "Montclair", "Villefranc"),
    ),
    Locale(
        "es", "+346110",
        ("Begoña", "Íñigo", "Joaquín", "Lucía", "Martín", "Nuria", "Óscar", "Pilar", "Ramón", "Zoé"),
        ("Ibáñez Roca", "Núñez", "Peñalver", "Quiñones", "Ríos", "Sáenz de Lara", "Urrutia", "Zúñiga"),
        ("calle del Olmo", "paseo Marítimo", "plaza Mayor", "camino Real"),
        ("Villaseca", "Puerto Claro", "Robledal"),
    ),
    Locale(
        "pl", "+485010",
        ("Agnieszka", "Błażej", "Grażyna", "Jędrzej", "Łukasz", "Małgorzata", "Stanisław", "Żaneta"),
        ("Brzęczyk", "Dąbrowska", "Gołąb", "Kędzior", "Ściegienny", "Wójcik", "Żurek"),
        ("ul. Polna", "ul. Świerkowa", "os. Słoneczne"),
        ("Zalesie", "Brzozów", "Nowa Łąka"),
    ),
    Locale(
        "tr", "+905010",
        ("Ayşe", "Çağla", "Emre", "Gökhan", "İpek", "Oğuz", "Şule", "Ümit"),
        ("Aydoğan", "Çelikbaş", "Güneş", "Işık", "Öztuna", "Şahinler", "Yıldız"),
        ("Çınar Sokak", "Gül Caddesi", "İskele Yolu"),
        ("Yenikışla", "Akçaova", "Deretepe"),
    ),
    Locale(
        "el", "+306900",
        ("Αλέξανδρος", "Βασιλική", "Δήμητρα", "Ηλίας", "Κυριάκος", "Ζωή"),
        ("Αγγελόπουλος", "Βλαστός", "Καραλής", "Παπαδημούλη", "Ψαρός"),
        ("οδός Ελιάς", "λεωφόρος Θαλάσσης"),
        ("Νέα Πηγή", "Άνω Κάμπος"),
    ),
    Locale(
        "ar", "+971500",
        ("أمينة", "سليم", "ليلى", "يوسف", "هدى", "طارق"),
        ("البحري", "الحداد", "الزيتوني", "النجار", "الساعدي"),
        ("شارع النخيل", "شارع الميناء"),
        ("الواحة", "الرملة"),
    ),
    Locale(
        "ja", "+819000",
        ("あおい", "健太", "さくら", "大輔", "美咲", "陽一"),
        ("青木", "川端", "小早川", "瀬戸内", "山吹"),
        ("緑町", "桜台", "港通り"),
        ("北浜市", "若葉市"),
    ),
)  # fmt: skip
LANGUAGES: tuple[str, ...] = tuple(locale.language for locale in LOCALES)
LANGUAGE_WEIGHTS: tuple[float, ...] = (0.3, 0.16, 0.12, 0.12, 0.1, 0.08, 0.04, 0.05, 0.03)


def full_name(locale: Locale, number: int) -> str:
    """A name; family name first in Japanese."""
    given = locale.given[number % len(locale.given)]
    family = locale.family[number // len(locale.given) % len(locale.family)]
    return f"{family} {given}" if locale.language == "ja" else f"{given} {family}"


def email(name: str, number: int) -> str:
    """An address at a domain reserved for examples (RFC 2606), unique by `number`."""
    return f"{_mailbox(name)}.{number}@example.{('com', 'net', 'org')[number % 3]}"


@lru_cache(maxsize=10_000)
def _mailbox(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = ("".join(c for c in word if c.isalnum()) for word in plain.split())
    return ".".join(word for word in words if word) or "kunde"


def address(locale: Locale, number: int) -> str:
    """A street address in one line."""
    street = locale.streets[number % len(locale.streets)]
    town = locale.towns[number // 7 % len(locale.towns)]
    return f"{street} {number % 180 + 1}, {10000 + number * 37 % 89999} {town}"


def msisdn(locale: Locale, number: int) -> str:
    """A telephone number in E.164 form, unique by `number` within a language."""
    return f"{locale.dial_prefix}{number:07d}"
