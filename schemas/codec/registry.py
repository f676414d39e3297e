"""The schema registry: schemas by id, and ids for schemas, remembered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from schemas.errors import TerminalError, TransientError

if TYPE_CHECKING:  # a third of a second, which only who has a registry should spend
    from confluent_kafka.schema_registry import SchemaRegistryClient

_NOT_FOUND = 404
_UNAUTHORIZED = (401, 403)
_RETRIED = (408, 429)
_TIMEOUT_SECONDS = 10
_mocks: dict[str, Registry] = {}
_mocks_lock = threading.Lock()


class Registry:
    """A Confluent-compatible schema registry, used from any number of threads.

    An id's schema never changes, so a found one is kept for good. That an id is unknown is kept for
    `unknown_seconds` only: the producer may be registering it right now.

    Args:
        client: A registry client.
        unknown_seconds: How long an unknown id is not asked for again.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        client: SchemaRegistryClient,
        *,
        unknown_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._unknown_seconds = unknown_seconds
        self._clock = clock
        self._schemas: dict[int, dict[str, Any]] = {}
        self._unknown_until: dict[int, float] = {}
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, url: str) -> Registry:
        """Connect to a registry.

        Args:
            url: `http://` or `https://`, with `user:password@` where the registry asks for it; several with commas
                between. `mock://<name>` is a registry inside this process: equal urls share it, other processes do
                not see it.

        Raises:
            TerminalError: The url is none of these.
        """
        if urlsplit(url).scheme not in ("http", "https", "mock"):
            raise TerminalError("schema registry: expected a url with http://, https:// or mock://; correct it")
        from confluent_kafka.schema_registry import SchemaRegistryClient

        if not url.startswith("mock://"):
            return cls(SchemaRegistryClient({"url": url, "timeout": _TIMEOUT_SECONDS}))
        with _mocks_lock:
            if url not in _mocks:
                _mocks[url] = cls(SchemaRegistryClient.new_client({"url": url}))
            return _mocks[url]

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Register an Avro schema under a subject (`<topic>-value`); the same schema again gives the same id.

        Raises:
            TransientError: The registry cannot be reached.
            TerminalError: It refuses, for example because the schema breaks the subject's compatibility.
        """
        from confluent_kafka.schema_registry import Schema

        try:
            return int(self._client.register_schema(subject, Schema(json.dumps(schema), "AVRO")))
        except Exception as error:
            raise _translated(error, f"registering the schema of {subject}") from error

    def schema(self, schema_id: int) -> dict[str, Any] | None:
        """The Avro schema with this id.

        Returns:
            The schema; None if the registry does not know the id. A schema of another kind (Protobuf, JSON Schema)
            and one that is not a record come back as `{"type": "<kind>"}`, which no contract can read.

        Raises:
            TransientError: The registry cannot be reached: the record must wait, it is not bad.
            TerminalError: The registry refuses us.
        """
        with self._lock:
            if schema_id in self._schemas:
                return self._schemas[schema_id]
            if self._unknown_until.get(schema_id, 0.0) > self._clock():
                return None
        found = self._fetch(schema_id)
        with self._lock:
            now = self._clock()
            if found is None:
                # forget what has expired, so that made-up ids cannot fill the memory
                self._unknown_until = {key: until for key, until in self._unknown_until.items() if until > now}
                self._unknown_until[schema_id] = now + self._unknown_seconds
            else:
                self._schemas[schema_id] = found
        return found

    def _fetch(self, schema_id: int) -> dict[str, Any] | None:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            schema = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise _translated(error, f"asking for schema {schema_id}") from error
        except Exception as error:
            raise _translated(error, f"asking for schema {schema_id}") from error
        if (schema.schema_type or "AVRO") != "AVRO":
            return {"type": schema.schema_type}
        parsed = json.loads(schema.schema_str or "{}")
        return parsed if isinstance(parsed, dict) else {"type": "union" if isinstance(parsed, list) else str(parsed)}


def _translated(error: Exception, doing: str) -> TransientError | TerminalError:
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    if not isinstance(error, SchemaRegistryError):
        return TransientError(f"schema registry: {doing} failed with {type(error).__name__}; check that it is up")
    status = error.http_status_code
    if status in _UNAUTHORIZED:
        return TerminalError(f"schema registry: {doing} was refused (HTTP {status}); check the user in its url")
    if status in _RETRIED or status >= 500:
        return TransientError(f"schema registry: {doing} failed (HTTP {status}); check that it is healthy")
    return TerminalError(
        f"schema registry: {doing} was refused (HTTP {status}, code {error.error_code}); check the schema"
    )
