"""Feature tables: Parquet files, the manifests that make them visible, and DuckDB views over them."""

from connectors.tables.fence import claim_generation
from connectors.tables.items import TableRows, TableSpec, Tick
from connectors.tables.read import TableStatus, read_table, table_status
from connectors.tables.sink import TablesSink
from connectors.tables.views import refresh_views

__all__ = [
    "TableRows",
    "TableSpec",
    "Tick",
    "TablesSink",
    "claim_generation",
    "read_table",
    "refresh_views",
    "TableStatus",
    "table_status",
]
