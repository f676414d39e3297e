"""The files that can be examined."""

from __future__ import annotations

from io import BytesIO

import fastavro
import orjson
import pytest

from flows.lint import examine, from_file
from flows.record_files import LineRecord, read_line
from schemas.contracts import contract
from schemas.errors import TerminalError
from tests.unit.flows.lint.linting import lint_lines, names
from tests.unit.flows.lint.test_formats import USAGE
from tests.unit.schemas.formats.salesforce_avro import ACCOUNT
from tests.unit.schemas.formats.test_salesforce_avro import change


def lint(path, stream="usage_event", form="canonical", limit=100):
    return examine(from_file(path, limit), stream, form)


def places(report) -> list[str]:
    return [place for each in report.rejections for place in each.places]


def test_each_line_is_a_record_when_the_file_has_lines(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(orjson.dumps(USAGE) + b"\r\n\n{\n" + orjson.dumps(USAGE))
    report = lint(path)
    assert (report.records, report.accepted) == (3, 2)
    assert places(report) == ["line 3"]


@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2])
def test_file_is_one_record_when_it_is_one_document(tmp_path, option):
    path = tmp_path / "record.json"
    path.write_bytes(orjson.dumps(USAGE, option=option))
    assert lint(path).accepted == 1


@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2])
def test_each_item_is_a_record_when_the_document_is_an_array(tmp_path, option):
    path = tmp_path / "records.json"
    path.write_bytes(orjson.dumps([USAGE, USAGE | {"kind": "fax"}, 3], option=option))
    report = lint(path)
    assert (report.records, report.accepted) == (3, 1)
    assert places(report) == ["item 2", "item 3"]


def test_only_the_first_records_are_read_when_there_is_a_limit(tmp_path):
    path = tmp_path / "records"
    path.write_bytes((orjson.dumps(USAGE) + b"\n") * 10)
    assert lint(path, limit=3).records == 3


def test_file_is_refused_when_it_holds_no_record(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"\n")
    with pytest.raises(TerminalError) as error:
        lint(path)
    assert str(error.value) == f"{path}: expected records, came none: there is nothing to say of it"


def avro(schema, records, codec="null") -> bytes:
    out = BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), records, codec=codec, sync_interval=100)
    return out.getvalue()


SCHEMA = contract("usage_event").avro | {
    "fields": [*contract("usage_event").avro["fields"], {"name": "tower", "type": "long"}]
}
WRITTEN = USAGE | {"tower": 3, "event_time": 1_777_377_600_000_000}


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_records_of_a_container_are_read_as_their_schema_says(tmp_path, codec):
    path = tmp_path / "usage.avro"
    late = 300_000_000_000_000_000  # beyond the year 9999, where no time of Python's reaches
    plain = [{**field, "type": "long"} if field["name"] == "event_time" else field for field in SCHEMA["fields"]]
    records = [WRITTEN, WRITTEN | {"event_time": late}, WRITTEN | {"kind": "fax"}] * 4
    path.write_bytes(avro(SCHEMA | {"fields": plain}, records, codec))
    report = lint(path)
    assert (report.records, report.accepted, report.rejected) == (12, 4, 8)
    assert [(each.reason, each.places) for each in report.rejections] == [
        ("out_of_range", ("record 2", "record 5", "record 8")),
        ("out_of_range", ("record 3", "record 6", "record 9")),
    ]
    assert names(report.ignored) == {"tower"}


def test_times_of_a_container_are_read_when_they_have_a_logical_type(tmp_path):
    path = tmp_path / "usage.avro"
    path.write_bytes(avro(SCHEMA, [WRITTEN]))
    assert lint(path).accepted == 1


def test_all_records_are_rejected_when_their_schema_is_another(tmp_path):
    path = tmp_path / "other.avro"
    path.write_bytes(
        avro({"type": "record", "name": "other", "fields": [{"name": "a", "type": "long"}]}, [{"a": 1}] * 3)
    )
    report = lint(path)
    assert [(each.reason, each.count) for each in report.rejections] == [("incompatible_schema", 3)]


def test_container_is_refused_when_the_format_is_json(tmp_path):
    path = tmp_path / "alarms.avro"
    path.write_bytes(avro(SCHEMA, [WRITTEN]))
    with pytest.raises(TerminalError) as error:
        lint(path, "network_fault", "mist")
    assert str(error.value) == (f"{path}: expected JSON for format mist, came an Avro file: send JSON")


def test_events_of_a_container_are_examined_when_the_format_comes_in_avro(tmp_path):
    path = tmp_path / "accounts.avro"
    events = [change("CREATE", Plan__c="flex-10"), change("UPDATE", {"nulledFields": ["0x80000000"]})]
    path.write_bytes(
        avro(ACCOUNT, [dict.fromkeys(each["name"] for each in ACCOUNT["fields"]) | each for each in events])
    )
    report = lint(path, "crm_change", "salesforce_cdc")
    assert (report.records, report.accepted) == (2, 1)
    assert [each.reason for each in report.rejections] == ["incompatible_schema"]
    assert report.ignored == []  # the fields of vendors' Avro are not looked at


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda whole: whole[:30], "expected an Avro container file, came something else"),
        (
            lambda whole: whole[:-20],
            "expected Avro records after the file's schema, came other bytes behind record 0",
        ),
        (
            lambda whole: whole.replace(b"\x08null", b"\x08nuLL"),
            "expected an Avro file packed by null, deflate, bzip2, xz, came another codec: pack it by deflate",
        ),
    ],
)
def test_container_is_refused_when_it_cannot_be_read(tmp_path, spoil, message):
    path = tmp_path / "usage.avro"
    path.write_bytes(spoil(avro(SCHEMA, [WRITTEN])))
    with pytest.raises(TerminalError) as error:
        lint(path)
    assert str(error.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"a":1}\r\n', LineRecord(b'{"a":1}')),
        (b'{"key":"k","value":"v"}', LineRecord(b"v", b"k")),
        (b'{"key":null,"value":null}', LineRecord(None)),
        (b'{"key":{"id":1},"value":{"base64":"/w=="}}', LineRecord(b"\xff", b'{"id":1}')),
        (b'{"key":1,"value":{"base64":"/w="}}', LineRecord(b'{"base64":"/w="}', b"1")),
        (
            b'{"timestamp_ms":5,"key":"k","value":"v","headers":[["h","x"],["n",null]]}',
            LineRecord(b"v", b"k", 5, [("h", b"x"), ("n", None)]),
        ),
        (b'{"key":"k","value":"v","more":1}', LineRecord(b'{"key":"k","value":"v","more":1}')),
        (b'{"key":"k","value":"v","headers":3}', LineRecord(b'{"key":"k","value":"v","headers":3}')),
        (b'{"key":"value"', LineRecord(b'{"key":"value"')),
    ],
)
def test_line_is_a_whole_record_when_it_has_key_and_value(line, record):
    assert read_line(line) == record


def test_name_of_a_field_is_hidden_when_it_may_be_a_value(tmp_path):
    report = lint_lines(tmp_path, "usage_event", "canonical", USAGE | {"ada@example.org": 1, "Ödön": 2, "36 20": 3})
    assert names(report.ignored) == {"*"}
