"""Profiles: what a fault notification needs to know of each customer, at any event time.

Each CRM change is one row; the fields it gives are marked in `given`. A customer's profile at a moment is made of the
newest given value of each field at or before it, in the order event time, version, origin, offset. Times are
microseconds.

**State.** One row per change; changes older than the horizon are folded into one row per customer, so a million quiet
customers are a million rows. **Lateness.** A change that is older than the horizon and comes after a newer one is
taken in, but cannot win over a field of the folded row. **Eviction.** None: a profile lives as long as the customer,
a deletion empties it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.batch import Batch, Origin
from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState
from flows.operators.incidents import ALL_SERVICES, SERVICES
from flows.operators.uses import among, ranges
from flows.operators.watermark import FOREVER, NEVER
from schemas.frames import stack, take

CHANNELS = ("email", "sms", "whatsapp", "push")
FIELDS = ("active", "site", "services", "channels", "consent", "email", "msisdn", "language")
_SOURCE = {"active": "status", "site": "site_id"}
ALL_GIVEN = (1 << len(FIELDS)) - 1
_DEFAULT_ORDER = 1 + 8 * 2  # email, then SMS, as `_channel_order` writes it
_OUTCOMES = ("unreachable", *CHANNELS)
NO_SITE = 0
"""Stands for the site of a customer who has none."""
_DEFAULTS: dict[str, int | bool] = {
    "active": False,
    "site": NO_SITE,
    "services": ALL_SERVICES,
    "channels": _DEFAULT_ORDER,
    "consent": 0,
}
PROFILE_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.UInt64(),
    "customer_key": pl.String(),
    "event_time": pl.Int64(),
    "version": pl.Int64(),
    "origin": pl.UInt32(),
    "offset": pl.Int64(),
    "given": pl.UInt16(),
    "active": pl.Boolean(),
    "site": pl.UInt64(),
    "services": pl.UInt8(),
    "channels": pl.UInt16(),
    "consent": pl.UInt8(),
    "email": pl.String(),
    "msisdn": pl.String(),
    "language": pl.String(),
}
ORDER = ("event_time", "version", "origin", "offset")
_NO_CHANGES = pl.DataFrame(schema=PROFILE_COLUMNS)
Customers = NDArray[np.uint64]


def profile_changes(batch: Batch, origins: Mapping[Origin, int]) -> pl.DataFrame:
    """Turn tokenized `crm_change` rows into rows of PROFILE_COLUMNS. Gaps (op stale) must not be among them.

    Shape: one row out for each row in. `customer`, `customer_key` and `site` (fingerprint of `site_id`) must be there.
    """
    whole = pl.col("changed_fields").is_null() | pl.col("op").is_in(["create", "delete"])
    named = pl.lit(0, pl.UInt16)
    for bit, field in enumerate(FIELDS):
        is_named = pl.col("changed_fields").list.contains(_SOURCE.get(field, field)).fill_null(value=False)
        named = named | pl.when(is_named).then(pl.lit(1 << bit, pl.UInt16)).otherwise(pl.lit(0, pl.UInt16))
    kept = pl.col("op") != "delete"
    return batch.rows.select(
        "customer",
        "customer_key",
        pl.col("event_time").cast(pl.Int64),
        "version",
        pl.lit(origins[batch.origin], pl.UInt32).alias("origin"),
        pl.col("_offset").alias("offset"),
        pl.when(whole).then(pl.lit(ALL_GIVEN, pl.UInt16)).otherwise(named).alias("given"),
        (kept & pl.col("status").fill_null("active").eq("active")).alias("active"),
        pl.when(kept).then("site").fill_null(NO_SITE).alias("site"),
        pl.when(kept).then(_service_bits()).alias("services"),
        pl.when(kept).then(_channel_order()).alias("channels"),
        pl.when(kept).then(_channel_bits("consent")).alias("consent"),
        *(pl.when(kept).then(field).alias(field) for field in ("email", "msisdn", "language")),
    )


class Profiles:
    """Every change of the shard's customers that is not folded yet: rows of PROFILE_COLUMNS, segments by customer.

    Attributes:
        horizon: Changes at or before this time are folded into one row per customer.
    """

    def __init__(self, store: SegmentStore, resume: TableState | None = None) -> None:
        self.horizon = NEVER
        self.table = FoldedTable(FoldSpec(schema=PROFILE_COLUMNS, fold=self._fold), store, resume)

    def of(self, customers: Customers) -> pl.DataFrame:
        """All changes of some customers, who are given in ascending order."""
        found = [_between(part, customers) for part in self.table.segments()]
        found += [take(part, among(part["customer"].to_numpy(), customers)) for part in self.table.open_part()]
        return stack([part for part in found if part.height] or [_NO_CHANGES])

    def at_sites(self, sites: NDArray[np.uint64]) -> Customers:
        """Customers who were at one of the sites (sorted) by any change; some may be given twice."""
        found = [part["customer"].to_numpy()[among(part["site"].to_numpy(), sites)] for part in self.table.parts()]
        return np.concatenate([np.zeros(0, np.uint64), *found])

    def after(self, time: int) -> pl.DataFrame:
        """`event_time` and `customer` of the changes after a time."""
        return self.table.scan(pl.col("event_time") > time).select("event_time", "customer")

    def _fold(self, rows: pl.DataFrame) -> pl.DataFrame:
        folded = _fold_old(rows, self.horizon)
        return folded[np.argsort(folded["customer"].to_numpy(), kind="stable")]


def _between(segment: pl.DataFrame, customers: Customers) -> pl.DataFrame:
    held = segment["customer"].to_numpy()
    begins, ends = np.searchsorted(held, customers), np.searchsorted(held, customers, side="right")
    return segment[ranges(begins, ends)] if (ends > begins).any() else _NO_CHANGES


def _fold_old(changes: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Merge each customer's changes at or before `horizon` into one row; later ones stay as they are.

    The merged row carries the order of the newest change in it.
    """
    is_old = changes["event_time"].to_numpy() <= horizon
    customers = changes["customer"].to_numpy()[is_old]
    if len(np.unique(customers)) == len(customers):
        return changes
    old = take(changes, is_old)
    given = old.group_by("customer").agg(pl.col("given").bitwise_or())
    newest = filled(old).unique("customer", keep="last").drop("given").join(given, on="customer")
    return pl.concat([newest.select(*PROFILE_COLUMNS), take(changes, ~is_old)])


def filled(changes: pl.DataFrame) -> pl.DataFrame:
    """Order changes and give every row the whole profile as it is after it.

    Shape: the same rows, sorted by customer and order. A field that was never given is null.
    """
    ordered = changes.sort("customer", *ORDER)
    if (ordered["given"].to_numpy() == ALL_GIVEN).all():
        return ordered
    newest = [
        pl.when(pl.col("given") & (1 << bit) != 0).then("place").forward_fill().over("customer").alias(field)
        for bit, field in enumerate(FIELDS)
    ]
    places = ordered.with_row_index("place").select(newest)
    return ordered.with_columns(ordered[field].gather(places[field]).alias(field) for field in FIELDS)


def profile_versions(changes: pl.DataFrame, until: int) -> pl.DataFrame:
    """What each customer's profile was, and from when to when, by the changes at or before `until`.

    Shape: adds `end` (Int64): the version holds in [event_time, end). Sorted by customer and time. Changes that another
    of the same moment replaces are left out.
    """
    times = changes["event_time"].to_numpy()
    known = changes if (times <= until).all() else take(changes, times <= until)
    customers = known["customer"].to_numpy()
    if len(np.unique(customers)) == len(customers) and (known["given"].to_numpy() == ALL_GIVEN).all():
        # nearly everybody has one version only
        whole = known if (customers[1:] > customers[:-1]).all() else known[np.argsort(customers)]
        ends = pl.Series("end", np.full(known.height, FOREVER))
        return _with_defaults(whole).hstack([ends])
    end = pl.col("event_time").shift(-1).over("customer").fill_null(FOREVER).alias("end")
    versions = _with_defaults(filled(known)).with_columns(end)
    return versions.filter(pl.col("event_time") < pl.col("end"))


def version_at(versions: pl.DataFrame, customers: Customers, times: NDArray[np.int64]) -> pl.DataFrame:
    """The version of each customer that holds at a time of their own.

    Args:
        versions: `profile_versions`; each customer has one that holds then.
        customers: Their numbers.
        times: Microseconds.
    """
    held, begins = versions["customer"].to_numpy(), versions["event_time"].to_numpy()
    at, last = np.searchsorted(held, customers), np.searchsorted(held, customers, side="right") - 1
    while (later := (at < last) & (begins[np.minimum(at + 1, last)] <= times)).any():
        at += later
    # mostly everybody is asked for, by the only version there is
    return versions if np.array_equal(at, np.arange(versions.height)) else versions[at]


def choose_channels(versions: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """For each row the first channel in the customer's order that has consent and a contact, and that contact's token.

    Returns:
        `outcome`: the channel, or `unreachable`; and `contact`: null for push, whose address is the customer key.
    """
    emails, msisdns = versions["email"].to_list(), versions["msisdn"].to_list()
    has_email, has_msisdn = (np.array([each is not None for each in column], np.bool_) for column in (emails, msisdns))
    order, consent = versions["channels"].to_numpy(), versions["consent"].to_numpy()
    contacts = {"email": has_email, "sms": has_msisdn, "whatsapp": has_msisdn}
    number = np.zeros(len(order), np.int64)
    for place in range(len(CHANNELS)):
        digit = order >> 3 * place & 7
        for each, channel in enumerate(CHANNELS, 1):
            usable = (digit == each) & (consent & 1 << each != 0) & contacts.get(channel, True)
            number[usable & (number == 0)] = each
    outcomes = [_OUTCOMES[each] for each in number.tolist()]
    tokens = {"email": emails, "sms": msisdns, "whatsapp": msisdns}
    contact = [tokens[outcome][row] if outcome in tokens else None for row, outcome in enumerate(outcomes)]
    return pl.Series("outcome", outcomes, pl.String), pl.Series("contact", contact, pl.String)


def _with_defaults(versions: pl.DataFrame) -> pl.DataFrame:
    """A customer known by partial changes only may never have been given these."""
    columns = [
        column.fill_null(_DEFAULTS[column.name]) if column.name in _DEFAULTS and column.null_count() else column
        for column in versions.get_columns()
    ]
    return pl.DataFrame(columns)


def _service_bits() -> pl.Expr:
    services = pl.col("services")
    known = pl.lit(0, pl.UInt8)
    for bit, service in enumerate(SERVICES):
        has = services.list.contains(service)
        known = known | pl.when(has).then(pl.lit(1 << bit, pl.UInt8)).otherwise(pl.lit(0, pl.UInt8))
    others = services.list.eval(pl.element().is_in(SERVICES).not_()).list.any()
    return pl.when(services.is_null() | others).then(pl.lit(ALL_SERVICES, pl.UInt8)).otherwise(known)


def _channel_bits(column: str) -> pl.Expr:
    bits = pl.lit(0, pl.UInt8)
    for number, channel in enumerate(CHANNELS, 1):
        has = pl.col(column).list.contains(channel).fill_null(value=False)
        bits = bits | pl.when(has).then(pl.lit(1 << number, pl.UInt8)).otherwise(pl.lit(0, pl.UInt8))
    return bits


def _channel_order() -> pl.Expr:
    """The order of preference as octal digits, the first choice lowest. None stated: email, then SMS."""
    known = pl.col("channels").list.eval(pl.element().filter(pl.element().is_in(CHANNELS)).unique(maintain_order=True))
    order = pl.lit(0, pl.UInt16)
    for place in range(len(CHANNELS)):
        channel = known.list.get(place, null_on_oob=True)
        number = channel.replace_strict(
            dict(zip(CHANNELS, range(1, 5), strict=True)), default=0, return_dtype=pl.UInt16
        )
        order = order + number.fill_null(0) * 8**place
    return pl.when(pl.col("channels").is_null()).then(pl.lit(_DEFAULT_ORDER, pl.UInt16)).otherwise(order)
