"""Finds values in bytes, however they are written: as they are, escaped, in hex, in base64, in UTF-16."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import duckdb
import polars as pl


def spellings(value: str) -> set[bytes]:
    """How a value may be written."""
    plain = value.encode()
    found = {plain, json.dumps(value)[1:-1].encode(), quote(value).encode(), repr(value)[1:-1].encode()}
    found |= {value.encode("utf-16-le"), value.encode("utf-16-be")}
    found |= {plain.hex().encode(), plain.hex().upper().encode(), plain[::-1]}
    for before in range(3):
        # base64 depends on where in its groups of three a value begins; its first and last characters on its neighbours
        whole = base64.b64encode(b"\0" * before + plain)
        inner = whole[(0, 2, 3)[before] : len(whole) - (0, 3, 2)[(before + len(plain)) % 3]]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


class ByteScan:
    """Looks for many values at once.

    Args:
        values: At least 8 characters each, so that they do not occur by chance.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._spelled = {spelling.decode("latin-1"): value for value in values for spelling in spellings(value)}
        assert min(map(len, self._spelled)) >= 8

    def find(self, pieces: Iterable[tuple[str, bytes]]) -> list[tuple[str, str]]:
        """Where (a piece's name) which value is; one of those that end alike, where their ends are lost in base64."""
        names, texts = [], []
        for name, data in pieces:
            names.append(name)
            texts.append(data.decode("latin-1"))
        # latin-1 gives each byte a character, so a search in text is a search in bytes
        found = pl.Series(texts, dtype=pl.String).str.extract_many(list(self._spelled), overlapping=True).to_list()
        return sorted({(name, self._spelled[hit]) for name, hits in zip(names, found, strict=True) for hit in hits})


def pieces_of_directory(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and what it holds where its format compresses or splits it."""
    for path in sorted(each for each in directory.rglob("*") if each.is_file()):
        name = str(path.relative_to(directory))
        yield name, path.read_bytes()
        yield name, name.encode()
        for content in _contents(path):
            yield f"{name} (read)", content


def _contents(path: Path) -> Iterable[bytes]:
    match path.suffix:
        case ".parquet":
            return _cells(pl.read_parquet(path, glob=False))
        case ".arrow":
            return _cells(pl.read_ipc(path))
        case ".duckdb":
            return _duckdb(path)
        case ".sqlite3":
            return _sqlite(path)
    return ()


def _cells(frame: pl.DataFrame) -> Iterator[bytes]:
    for column in frame:
        if column.dtype == pl.Binary:
            yield from (cell for cell in column.drop_nulls())
        else:
            yield "\n".join(map(str, column.to_list())).encode()


def _duckdb(path: Path) -> Iterator[bytes]:
    with duckdb.connect(path, read_only=True) as database:
        for (view,) in database.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
            yield from _cells(database.execute(f'FROM "{view}"').pl())


def _sqlite(path: Path) -> Iterator[bytes]:
    """Cells, whole: on its pages SQLite splits the long ones."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for cell in chain.from_iterable(chain.from_iterable(database.execute(f'SELECT * FROM "{t}"') for t in tables)):
            yield cell if isinstance(cell, bytes) else str(cell).encode()
