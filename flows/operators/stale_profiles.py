"""Stale profiles: customers of whom a source has said that something changed, and not what (`crm_change`, op stale).

A gap makes the profile stale from its moment (event time, version) on. Only a whole row of that moment or later ends
it: a create, a delete, or an update without `changed_fields`. A partial update does not: it says nothing of what was
missed. Whom a fault concerns is decided by the profile as it is known, stale or not: nobody is told, or not told, on
account of a gap.

**State.** One row per customer who was ever stale. **Lateness.** A gap from before the profiles' horizon counts, though
a whole row may have come after it: by then that is not known any more. **Eviction.** None. How a batch is cut changes
no result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState
from flows.operators.profiles import ALL_GIVEN, Customers, Profiles
from flows.operators.uses import among
from schemas.contracts import TIMESTAMP
from schemas.frames import take

_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.UInt64(),
    "event_time": pl.Int64(),
    "version": pl.Int64(),
    "stale": pl.Boolean(),
    "revision": pl.Int64(),
}
_READ = ("customer", "customer_key", "source_system", "event_time", "version")
_Moment = tuple[int, int]  # event time, version


class _Known(NamedTuple):
    moment: _Moment  # of the newest gap, or of the whole row that ended it
    stale: bool
    revision: int


_BEFORE: _Moment = (-(2**63), 0)
_FRESH = _Known(_BEFORE, stale=False, revision=0)


class StaleProfiles:
    """Who is stale, of the shard's customers."""

    def __init__(self, store: SegmentStore, resume: TableState | None = None) -> None:
        self.table = FoldedTable(FoldSpec(schema=_COLUMNS, fold=_newest), store, resume)
        self._known = {
            customer: _Known((event_time, version), stale, revision)
            for customer, event_time, version, stale, revision in self.table.folded().iter_rows()
        }

    def take(self, rows: pl.DataFrame, is_gap: NDArray[np.bool_], profiles: Profiles) -> pl.DataFrame:
        """Take in tokenized `crm_change` rows.

        Args:
            rows: Rows of one batch, in order.
            is_gap: Which of them are gaps.
            profiles: The shard's profiles before these rows.

        Returns:
            Rows of table `stale_profiles`: who became stale, and who ceased to be, in order.
        """
        if not is_gap.any() and not self._known:
            return _outcome([])
        customers = rows["customer"].to_numpy()
        gaps = np.unique(customers[is_gap])
        concerned = among(customers, np.union1d(gaps, np.fromiter(self._known, np.uint64, len(self._known))))
        concerned &= is_gap | _is_whole(rows)
        whole = _newest_whole(profiles, gaps)
        found: list[tuple[str, bool, str, int, int]] = []
        kept: list[tuple[int, int, int, bool, int]] = []
        read = take(rows.select(*_READ), concerned).with_columns(pl.col("event_time").cast(pl.Int64))
        for (customer, key, source, *moment), gap in zip(read.iter_rows(), is_gap[concerned].tolist(), strict=True):
            at = (moment[0], moment[1])
            before = self._known.get(customer, _FRESH)
            if gap and at > max(before.moment, whole.get(customer, _BEFORE)):
                # one more gap of a stale profile is no news, but the whole row must be as new as that
                after = _Known(at, stale=True, revision=before.revision + (not before.stale))
            elif not gap and before.stale and at >= before.moment:
                after = _Known(at, stale=False, revision=before.revision + 1)
            else:
                after = before
            if not gap:
                whole[customer] = max(at, whole.get(customer, _BEFORE))
            if after == before:
                continue
            self._known[customer] = after
            kept.append((customer, *at, after.stale, after.revision))
            if after.revision > before.revision:
                found.append((key, after.stale, source, at[0], after.revision))
        self.table.append(pl.DataFrame(kept, schema=_COLUMNS, orient="row"))
        return _outcome(found)


def _is_whole(rows: pl.DataFrame) -> NDArray[np.bool_]:
    """Which rows give every field, as `profile_changes` has it; gaps among them."""
    whole = rows["changed_fields"].is_null() | rows["op"].is_in(["create", "delete"])
    return whole.to_numpy()


def _newest_whole(profiles: Profiles, customers: Customers) -> dict[int, _Moment]:
    """The moment of the newest whole row of each customer, as far as it is known."""
    changes = profiles.of(customers)
    # a folded row may be put together of parts
    known = (changes["given"].to_numpy() == ALL_GIVEN) & (changes["event_time"].to_numpy() > profiles.horizon)
    found: dict[int, _Moment] = {}
    for customer, event_time, version in take(changes, known).select("customer", "event_time", "version").iter_rows():
        found[customer] = max(found.get(customer, _BEFORE), (event_time, version))
    return found


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort("customer", "revision", "event_time", "version")
    return ordered.unique("customer", keep="last", maintain_order=True)


def _outcome(found: list[tuple[str, bool, str, int, int]]) -> pl.DataFrame:
    columns = {
        "customer_key": pl.String(),
        "stale": pl.Boolean(),
        "source_system": pl.String(),
        "event_time": pl.Int64(),
        "revision": pl.Int64(),
    }
    return pl.DataFrame(found, schema=columns, orient="row").with_columns(pl.col("event_time").cast(TIMESTAMP))
