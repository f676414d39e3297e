import numpy as np
import pytest

from connectors.kafka import OutputBatch
from connectors.kafka.output import published_ids
from schemas.blocks import RecordBlock


def batch(**changes) -> OutputBatch:
    columns = {
        "topic": "t",
        "partitions": np.array([0, 1, 0], np.int32),
        "keys": [b"k", None, None],
        "values": [b"a", None, b"c"],
        "ids": ["1", "2", "3"],
    }
    return OutputBatch(**(columns | changes))


def test_batch_refuses_columns_when_they_differ_in_length():
    with pytest.raises(ValueError, match=r"expected columns of one length, got lengths \[2, 3\]"):
        batch(keys=[None, None])
    with pytest.raises(ValueError, match=r"expected columns of one length, got lengths \[1, 3\]"):
        batch(columns={"n": [b"1"]})


def test_id_comes_first_when_a_record_has_further_headers():
    headers = list(batch(headers=[[("h", b"x")], [], []]).record_headers())
    assert headers == [[("signalbox.id", "1"), ("h", b"x")], [("signalbox.id", "2")], [("signalbox.id", "3")]]


def test_headers_that_every_record_has_come_before_its_own():
    columns = {"n": [b"1", b"2", b"3"], "m": [b"x", b"y", b"z"]}
    headers = list(batch(headers=[[("h", b"x")], [], []], columns=columns).record_headers())
    assert headers == [
        [("signalbox.id", "1"), ("n", b"1"), ("m", b"x"), ("h", b"x")],
        [("signalbox.id", "2"), ("n", b"2"), ("m", b"y")],
        [("signalbox.id", "3"), ("n", b"3"), ("m", b"z")],
    ]


def test_take_keeps_every_column_when_some_rows_are_taken():
    columns = {"n": [b"1", b"2", b"3"]}
    taken = batch(headers=[[], [("h", b"2")], []], triggered_ms=np.array([7, 8, 9]), columns=columns).take([1, 2])
    assert (taken.ids, taken.keys, taken.values) == (["2", "3"], [None, None], [None, b"c"])
    assert taken.headers == [[("h", b"2")], []]
    assert taken.columns == {"n": [b"2", b"3"]}
    assert taken.partitions.tolist() == [1, 0]
    assert taken.triggered_ms is not None
    assert taken.triggered_ms.tolist() == [8, 9]
    assert len(batch().take([])) == 0


def test_published_ids_leave_out_records_when_they_carry_none():
    block = RecordBlock.from_records(
        "t",
        0,
        [(None, b"v")] * 4,
        headers={0: [("signalbox.id", b"a")], 1: [("other", b"b")], 3: [("signalbox.id", None)]},
    )
    assert published_ids([block, block]) == {"a"}
