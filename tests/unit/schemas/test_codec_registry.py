"""The registry: what is remembered, for how long, and which failure means what."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas.codec import Registry
from schemas.errors import TerminalError, TransientError

SCHEMA = {"type": "record", "name": "r", "fields": []}


class FakeTime:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Server(http.server.ThreadingHTTPServer):
    """A registry over HTTP that knows one schema, counts its requests and answers with a status on demand."""

    status = 200
    requests = 0
    answer: dict[str, str]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        known = self.path.startswith("/schemas/ids/1?") or self.path == "/schemas/ids/1"
        status = self.server.status if known or self.server.status != 200 else 404
        answer = self.server.answer if status == 200 else {"error_code": status * 100 + 3, "message": "no"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answer = {"schema": json.dumps(SCHEMA)}
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client(server: Server) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_port}", "max.retries": 0})


def test_id_and_schema_are_found_when_registered() -> None:
    registry = Registry.connect(f"mock://{uuid4()}")
    schema_id = registry.register("a-value", SCHEMA)
    assert registry.register("a-value", SCHEMA) == schema_id
    assert registry.schema(schema_id) == SCHEMA
    assert registry.schema(schema_id + 1) is None


def test_mock_is_shared_when_the_url_is_the_same() -> None:
    url = f"mock://{uuid4()}"
    schema_id = Registry.connect(url).register("a-value", SCHEMA)
    assert Registry.connect(url).schema(schema_id) == SCHEMA
    assert Registry.connect(f"mock://{uuid4()}").schema(schema_id) is None


def test_schema_is_asked_for_once_when_found(server: Server) -> None:
    registry = Registry(client(server))
    assert registry.schema(1) == SCHEMA
    assert registry.schema(1) == SCHEMA
    assert server.requests == 1


def test_unknown_id_is_asked_for_again_when_a_few_seconds_have_passed(server: Server) -> None:
    clock = FakeTime()
    registry = Registry(client(server), unknown_seconds=5, clock=clock)
    assert registry.schema(2) is None
    clock.now = 4.9
    assert registry.schema(2) is None
    assert server.requests == 1
    clock.now = 5.1
    assert registry.schema(2) is None
    assert server.requests == 2


STATUSES = [
    (500, TransientError),
    (503, TransientError),
    (429, TransientError),
    (401, TerminalError),
    (403, TerminalError),
    (422, TerminalError),
]


@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_failure_is_told_apart_when_the_registry_answers(server: Server, status: int, error: type[Exception]) -> None:
    server.status = status
    with pytest.raises(error, match=rf"^schema registry: asking for schema 1 .*\(HTTP {status}"):
        Registry(client(server)).schema(1)
    server.status = 200
    assert Registry(client(server)).schema(1) == SCHEMA


def test_failure_is_transient_when_nobody_listens() -> None:
    dead = SchemaRegistryClient({"url": "http://127.0.0.1:1", "max.retries": 0})
    with pytest.raises(TransientError) as error:
        Registry(dead).schema(1)
    assert str(error.value) == "schema registry: asking for schema 1 failed with ConnectError; check that it is up"


def test_schema_is_named_by_kind_when_it_is_no_avro_record(server: Server) -> None:
    server.answer = {"schema": "message M {}", "schemaType": "PROTOBUF"}
    assert Registry(client(server)).schema(1) == {"type": "PROTOBUF"}
    server.answer = {"schema": '"string"'}
    assert Registry(client(server)).schema(1) == {"type": "string"}


def test_connect_refuses_when_the_url_has_another_scheme() -> None:
    with pytest.raises(TerminalError) as error:
        Registry.connect("ftp://user:secret@registry")
    assert str(error.value) == "schema registry: expected a url with http://, https:// or mock://; correct it"
