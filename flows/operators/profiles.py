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

import polars as pl

from flows.batch import Batch, Origin
from flows.operators.incidents import ALL_SERVICES, SERVICES
from flows.operators.watermark import FOREVER

CHANNELS = ("email", "sms", "whatsapp", "push")
FIELDS = ("active", "site", "services", "channels", "consent", "email", "msisdn", "language")
_SOURCE = {"active": "status", "site": "site_id"}
_ALL_GIVEN = (1 << len(FIELDS)) - 1
_DEFAULT_ORDER = 1 + 8 * 2  # email, then SMS, as `_channel_order` writes it
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


def profile_changes(batch: Batch, origins: Mapping[Origin, int]) -> pl.DataFrame:
    """Turn tokenized `crm_change` rows into rows of PROFILE_COLUMNS.

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
        pl.when(whole).then(pl.lit(_ALL_GIVEN, pl.UInt16)).otherwise(named).alias("given"),
        (kept & pl.col("status").fill_null("active").eq("active")).alias("active"),
        pl.when(kept).then("site").alias("site"),
        pl.when(kept).then(_service_bits()).alias("services"),
        pl.when(kept).then(_channel_order()).alias("channels"),
        pl.when(kept).then(_channel_bits("consent")).alias("consent"),
        *(pl.when(kept).then(field).alias(field) for field in ("email", "msisdn", "language")),
    )


def fold_profiles(changes: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Merge each customer's changes at or before `horizon` into one row; later ones stay as they are.

    The merged row carries the order of the newest change in it.
    """
    old = changes.filter(pl.col("event_time") <= horizon)
    if not old["customer"].is_duplicated().any():
        return changes
    given = old.group_by("customer").agg(pl.col("given").bitwise_or())
    newest = filled(old).unique("customer", keep="last").drop("given").join(given, on="customer")
    return pl.concat([newest.select(*PROFILE_COLUMNS), changes.filter(pl.col("event_time") > horizon)])


def filled(changes: pl.DataFrame) -> pl.DataFrame:
    """Order changes and give every row the whole profile as it is after it.

    Shape: the same rows, sorted by customer and order. A field that was never given is null.
    """
    ordered = changes.sort("customer", *ORDER)
    if (ordered["given"].to_numpy() == _ALL_GIVEN).all():
        return ordered
    newest = [
        pl.when(pl.col("given") & (1 << bit) != 0).then("place").forward_fill().over("customer").alias(field)
        for bit, field in enumerate(FIELDS)
    ]
    places = ordered.with_row_index("place").select(newest)
    return ordered.with_columns(ordered[field].gather(places[field]).alias(field) for field in FIELDS)


def profile_versions(changes: pl.DataFrame, until: int) -> pl.DataFrame:
    """What each customer's profile was, and from when to when, by the changes at or before `until`.

    Shape: adds `end` (Int64): the version holds in [event_time, end). Changes that another of the same moment
    replaces are left out.
    """
    # a customer known by partial changes only may never have been given these
    defaults = (pl.col("services").fill_null(ALL_SERVICES), pl.col("channels").fill_null(_DEFAULT_ORDER))
    whole = filled(changes.filter(pl.col("event_time") <= until)).with_columns(defaults)
    ends = pl.col("event_time").shift(-1).over("customer").fill_null(FOREVER)
    return whole.with_columns(ends.alias("end")).filter(pl.col("event_time") < pl.col("end"))


def reachable_channel() -> pl.Expr:
    """The first channel in the customer's order that has consent and a contact, else null."""
    choices = []
    for place in range(len(CHANNELS)):
        digit = pl.col("channels").floordiv(8**place).mod(8)
        for number, channel in enumerate(CHANNELS, 1):
            consented = pl.col("consent") & (1 << number) != 0
            choices.append(pl.when((digit == number) & consented & _has_contact(channel)).then(pl.lit(channel)))
    return pl.coalesce(choices)


def contact_of(channel: pl.Expr) -> pl.Expr:
    """The contact token a channel needs; push needs none, the customer key is its address."""
    return pl.when(channel == "email").then("email").when(channel.is_in(["sms", "whatsapp"])).then("msisdn")


def _has_contact(channel: str) -> pl.Expr:
    if channel == "push":
        return pl.lit(value=True)
    return pl.col("email" if channel == "email" else "msisdn").is_not_null()


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
