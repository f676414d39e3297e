"""The manifest: which Parquet files are the tables of one writer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from connectors.tables.durable import sync_directory, write_atomically
from connectors.tables.layout import Place
from schemas.errors import TerminalError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file; it is never changed once it has its name.

    Attributes:
        name: File name within the table's directory.
        rows: Number of rows.
        bytes: Size on disk.
        level: How often its rows were merged.
    """

    name: str
    rows: int
    bytes: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The files of one table.

    Attributes:
        schema_file: A file without rows and with the table's columns, so that an empty table can be read too.
        files: The rows, in the order they were written.
        retired: Files that left the table and stay a while for readers who still look at them.
        latest_by: As in `TableSpec`.
        order_by: As in `TableSpec`.
    """

    schema_file: str
    files: tuple[DataFile, ...] = ()
    retired: tuple[str, ...] = ()
    latest_by: tuple[str, ...] | None = None
    order_by: str | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(file.rows for file in self.files)

    @property
    def listed(self) -> tuple[str, ...]:
        """All files that make up the table, the one that says its columns first."""
        return (self.schema_file, *(file.name for file in self.files))

    def change(self, added: tuple[DataFile, ...], merged: tuple[DataFile, ...], gone: frozenset[str]) -> TableFiles:
        """Add files, take out those that were merged into them, and forget retired ones that were removed."""
        kept = tuple(file for file in self.files if file not in merged)
        retired = tuple(name for name in self.retired if name not in gone)
        return replace(self, files=kept + added, retired=retired + tuple(file.name for file in merged))


@dataclass(frozen=True, slots=True)
class Manifest:
    """All tables of one writer at one commit.

    Attributes:
        sequence: Number of the commit, 0 before the first; it only grows.
        tables: The files of each table.
    """

    sequence: int = 0
    tables: Mapping[str, TableFiles] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows in all tables."""
        return sum(table.rows for table in self.tables.values())

    def to_json(self, place: Place) -> bytes:
        """The content of the manifest file."""
        head = {"format": FORMAT, "flow": place.flow, "writer": place.writer, "sequence": self.sequence}
        return orjson.dumps(head | {"tables": {name: asdict(table) for name, table in self.tables.items()}})


def load(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        TerminalError: It is not a manifest, or one of a later version.
        FileNotFoundError: There is none.
    """
    data = path.read_bytes()
    try:
        fields = orjson.loads(data)
        if fields["format"] != FORMAT:
            raise TerminalError(f"{path}: expected manifest format {FORMAT}; it was written by another version")
        return Manifest(fields["sequence"], {name: _table(table) for name, table in fields["tables"].items()})
    except (ValueError, KeyError, TypeError) as error:
        raise TerminalError(f"{path}: expected a manifest, cannot read it ({type(error).__name__})") from error


def stage(place: Place, manifest: Manifest) -> None:
    """Write the manifest where no reader looks, durably."""
    write_atomically(place.staged(manifest.sequence), manifest.to_json(place))


def publish(place: Place, manifest: Manifest, before: Manifest) -> None:
    """Make a staged manifest what readers see, in one step.

    The manifests of the single tables follow it. They are derived: a crash between is mended at the next start.

    Args:
        place: The writer's files.
        manifest: A staged one.
        before: What is visible now; tables that are the same in it are left alone.
    """
    place.staged(manifest.sequence).replace(place.manifest)
    sync_directory(place.directory)
    _publish_tables(
        place, manifest, [name for name, files in manifest.tables.items() if before.tables.get(name) != files]
    )


def publish_again(place: Place, manifest: Manifest) -> None:
    """Make visible at a start what belongs to the recovery state.

    When it was visible before, its modification time stays: readers have seen nothing newer.
    """
    seen = place.manifest.stat().st_mtime if place.manifest.exists() else None
    write_atomically(place.manifest, manifest.to_json(place))
    if seen is not None:
        os.utime(place.manifest, (seen, seen))
    _publish_tables(place, manifest, list(manifest.tables))


def confirm(place: Place) -> None:
    """Note that the visible manifest is all there is up to now; its modification time says since when."""
    os.utime(place.manifest)


def _publish_tables(place: Place, manifest: Manifest, names: list[str]) -> None:
    for name in names:
        single = Manifest(manifest.sequence, {name: manifest.tables[name]})
        write_atomically(place.table_manifest(name), single.to_json(place), durable=False)


def _table(fields: dict[str, Any]) -> TableFiles:
    files = tuple(DataFile(**file) for file in fields["files"])
    latest_by = None if fields["latest_by"] is None else tuple(fields["latest_by"])
    return TableFiles(fields["schema_file"], files, tuple(fields["retired"]), latest_by, fields["order_by"])
