"""Where the files of the tables lie.

```
<data dir>/features.duckdb                                        views
<data dir>/tables/generation-<flow>                               who may publish
<data dir>/tables/manifest-<flow>.<writer>.json                   what is visible, all tables of one writer: the commit
<data dir>/tables/manifest-<flow>.<writer>.staged.<sequence>.json what will be visible once its epoch is durable
<data dir>/tables/<table>/manifest-<flow>.<writer>.json           the part of the commit for this table
<data dir>/tables/<table>/<flow>.<writer>.<sequence>.<random>.parquet
```
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.tables.durable import TEMPORARY_SUFFIX
from schemas.errors import TerminalError

DEFAULT_FLOW = "default"
_FLOW_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_VISIBLE_MANIFEST = re.compile(r"manifest-[a-z0-9-]+\.[0-9]+\.json")


def tables_directory(data_dir: Path) -> Path:
    """The directory of all tables, made when missing."""
    directory = data_dir / "tables"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def views_path(data_dir: Path) -> Path:
    """The DuckDB file with the views."""
    return data_dir / "features.duckdb"


def visible_manifest_paths(data_dir: Path) -> list[Path]:
    """The visible manifests of all flows and writers, sorted."""
    directory = data_dir / "tables"
    return sorted(path for path in directory.glob("manifest-*.json") if _VISIBLE_MANIFEST.fullmatch(path.name))


def check_flow_name(flow: str) -> str:
    """The name, when it can be part of a file name.

    Raises:
        TerminalError: It cannot.
    """
    if not _FLOW_NAME.fullmatch(flow):
        raise TerminalError(f"expected a flow name of lower case letters, digits and hyphens, came {flow!r}; rename it")
    return flow


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one writer of one flow.

    Attributes:
        data_dir: The data directory.
        flow: Name of the flow.
        writer: Number of the writer within the flow.
    """

    data_dir: Path
    flow: str
    writer: int

    @property
    def owner(self) -> str:
        """What every name of a file of this writer holds; flow names have no dot, so no owner begins like another."""
        return f"{self.flow}.{self.writer}"

    @property
    def directory(self) -> Path:
        """The directory of all tables."""
        return self.data_dir / "tables"

    @property
    def manifest(self) -> Path:
        """The visible manifest."""
        return self.directory / f"manifest-{self.owner}.json"

    def staged(self, sequence: int) -> Path:
        """The manifest that waits for its epoch to be durable."""
        return self.directory / f"manifest-{self.owner}.staged.{sequence}.json"

    def staged_all(self) -> Iterator[Path]:
        """All manifests that wait."""
        return self.directory.glob(f"manifest-{self.owner}.staged.*.json")

    def table(self, table: str) -> Path:
        """The directory of one table."""
        return self.directory / table

    def table_manifest(self, table: str) -> Path:
        """What is visible of one table."""
        return self.table(table) / self.manifest.name

    def new_file(self, table: str, sequence: int) -> Path:
        """A name for a Parquet file that no file has or ever had, whatever a crash left behind."""
        return self.table(table) / f"{self.owner}.{sequence:010d}.{secrets.token_hex(4)}.parquet"

    def own_files(self) -> Iterator[Path]:
        """All Parquet files of this writer, listed or not."""
        return self.directory.glob(f"*/{self.owner}.*.parquet")

    def temporary_files(self) -> Iterator[Path]:
        """What a crash left half written: hidden names that hold the owner's."""
        for pattern in (f"*/.{self.owner}.*", f".manifest-{self.owner}.*", f"*/.manifest-{self.owner}.*"):
            yield from self.directory.glob(pattern + TEMPORARY_SUFFIX)
