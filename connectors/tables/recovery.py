"""What a writer finds on the disk at its start, and what it makes of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import polars as pl

from connectors.tables.durable import sync_directory
from connectors.tables.items import TableSpec
from connectors.tables.layout import Place
from connectors.tables.manifest import Manifest, TableFiles, load, publish_again
from connectors.tables.parquet import write_rows
from schemas.errors import TerminalError

log = logging.getLogger(__name__)


def recover(place: Place, specs: Mapping[str, TableSpec], sequence: int | None) -> Manifest:
    """Make visible what the recovery state says, and delete whatever came later.

    What readers see never goes back: the visible manifest is never ahead of the recovery state, because it is
    published only after the state is durable. Otherwise the two do not belong together, and nothing is touched.

    Args:
        place: The writer's files.
        specs: The tables; a table's columns may have grown since the last start.
        sequence: The commit in the recovery state; None when there is no state.

    Returns:
        The manifest that is visible now.

    Raises:
        TerminalError: Files and recovery state do not belong together, or a column has changed its type.
    """
    known = _committed(place, sequence)
    manifest = with_specs(place, known, specs)
    publish_again(place, manifest)
    _delete_leftovers(place, manifest)
    return manifest


def with_specs(place: Place, manifest: Manifest, specs: Mapping[str, TableSpec]) -> Manifest:
    """The manifest with every table of `specs`: new ones empty, known ones with the columns of today.

    Raises:
        TerminalError: A column that the table has was dropped or has another type.
    """
    tables = dict(manifest.tables)
    for name, spec in specs.items():
        place.table(name).mkdir(parents=True, exist_ok=True)
        known = tables.get(name)
        retired: tuple[str, ...] = known.retired if known else ()
        if known and not _columns_grew(place, known, spec):
            schema_file = known.schema_file
        else:
            schema_file = write_rows(place.new_file(name, manifest.sequence), pl.DataFrame(schema=spec.schema)).name
            sync_directory(place.table(name))
            retired += (known.schema_file,) if known else ()
        tables[name] = TableFiles(schema_file, known.files if known else (), retired, spec.latest_by, spec.order_by)
    return Manifest(manifest.sequence, tables)


def _committed(place: Place, sequence: int | None) -> Manifest:
    visible = load(place.manifest) if place.manifest.exists() else None
    if sequence is None:
        if visible is not None and visible.sequence > 0:
            raise TerminalError(
                f"{place.manifest}: tables hold commit {visible.sequence}, but the recovery state is gone; a new start "
                "would write every row again. Restore the recovery directory, or start with an empty data directory"
            )
        return visible or Manifest()
    if visible is not None and visible.sequence == sequence:
        return visible
    if visible is not None and visible.sequence > sequence:
        raise TerminalError(
            f"{place.manifest}: tables hold commit {visible.sequence}, the recovery state only {sequence}; readers saw "
            "what it does not know. Restore tables and recovery directory from the same moment"
        )
    if not place.staged(sequence).exists():
        raise TerminalError(
            f"{place.directory}: the recovery state expects commit {sequence}, its manifest is missing; restore tables "
            "and recovery directory from the same moment"
        )
    return load(place.staged(sequence))


def _columns_grew(place: Place, known: TableFiles, spec: TableSpec) -> bool:
    before = pl.read_parquet_schema(place.table(spec.name) / known.schema_file)
    for column, dtype in before.items():
        if spec.schema.get(column) != dtype:
            raise TerminalError(
                f"table {spec.name}: column {column!r} is {dtype} on disk, and {spec.schema.get(column, 'not there')} "
                "in this version; columns may be added only. Give the column a new name"
            )
    return list(before) != list(spec.schema)


def _delete_leftovers(place: Place, manifest: Manifest) -> None:
    keep = {
        place.table(table) / name
        for table, files in manifest.tables.items()
        for name in (*files.listed, *files.retired)
    }
    unlisted = [path for path in place.own_files() if path not in keep]
    leftovers = [*place.staged_all(), *place.temporary_files(), *unlisted]
    for path in leftovers:
        path.unlink(missing_ok=True)
    if leftovers:
        log.info("deleted %d files that a crash had left uncommitted", len(leftovers))
