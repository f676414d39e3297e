"""What the inventory formats of TM Forum share where they are read in columns; see `inventory`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codec.nested import JSON, NOTHING, TEXT, TIME, Shape
from schemas.codec.nested_cells import Numbers
from schemas.formats.columns import Bools, Form, ManyFields, ManyRows
from schemas.formats.fields import Fields
from schemas.formats.inventory import is_change_event, is_gone_word, site_and_region
from schemas.formats.remembered import remembered

_ENVELOPE: Mapping[str, Shape] = MappingProxyType({"eventTime": TIME})


@dataclass(frozen=True, slots=True)
class ManyEntries:
    """Resources or services that are still there, one of each record; see `Entry`."""

    entities: ManyFields
    are_changes: Bools
    event_time: Numbers

    def leave_gone(self, states: tuple[str, ...], end: str) -> None:
        """Leave those that have left the inventory to `adapt`."""
        for name in states:
            self.entities.leave(self.entities.flag_meaning(name, is_gone_word, otherwise=False))
        until = self.entities.instant(end)
        self.entities.leave(~until.null & (until.values <= self.event_time.values))

    def sites_and_regions(self, characteristics: str) -> tuple[pa.Array, pa.Array]:
        """As `site_and_region`."""
        names = ("place", characteristics)
        sites, regions = (
            pc.coalesce(*(self.entities.meaning(name, _PLACES[which, name]) for name in names)) for which in (0, 1)
        )
        return sites, regions


def shape_of(characteristics: str, texts: tuple[str, ...], end: str, above: str) -> Mapping[str, Shape]:
    """What is read of an entity: some texts, until when it exists, what it hangs on, and where it is."""
    return {**dict.fromkeys(texts, TEXT), end: TIME, **dict.fromkeys((above, "place", characteristics), JSON)}


def forms_of(
    shape: Mapping[str, Shape], names: tuple[str, ...], rows: Callable[[ManyEntries], ManyRows]
) -> tuple[Form, ...]:
    """The forms of an entity: in an event, under the first of its names, and alone."""
    others = dict.fromkeys(names[1:], NOTHING)
    event: Shape = {names[0]: shape, **others}
    return (
        Form.of({**_ENVELOPE, "eventType": TEXT, "@type": TEXT, "event": event}, partial(_many_of_events, names, rows)),
        Form.of({**_ENVELOPE, **shape, "event": NOTHING, "eventType": NOTHING}, partial(_many_alone, rows)),
    )


def _many_of_events(names: tuple[str, ...], rows: Callable[[ManyEntries], ManyRows], envelopes: ManyFields) -> ManyRows:
    event_type = envelopes.required("eventType", "@type")
    are_changes = envelopes.flag_meaning(event_type, partial(is_change_event, names=names), otherwise=False)
    event = envelopes.inner("event")
    event.leave(~event.is_there(names[0]))
    return rows(ManyEntries(event.inner(names[0]), are_changes, _many_times(envelopes)))


def _many_alone(rows: Callable[[ManyEntries], ManyRows], entities: ManyFields) -> ManyRows:
    return rows(ManyEntries(entities, np.zeros(len(entities), np.bool_), _many_times(entities)))


def _many_times(envelopes: ManyFields) -> Numbers:
    return envelopes.instant("eventTime").or_else(envelopes.kafka_time())


def _places_in(which: int, name: str) -> Callable[[str], str | None]:
    """The site or the region that a field names."""
    return remembered(
        lambda written: site_and_region(Fields.of({name: orjson.loads(written)}), _CHARACTERISTICS_ALONE[name])[which]
    )


# a field that is not there has no places in it
_CHARACTERISTICS_ALONE = {
    "place": "",
    "resourceCharacteristic": "resourceCharacteristic",
    "serviceCharacteristic": "serviceCharacteristic",
}
_PLACES = {(which, name): _places_in(which, name) for which in (0, 1) for name in _CHARACTERISTICS_ALONE}
