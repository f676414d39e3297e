"""A table of customers, Debezium and Kafka: what happens to the three, and the moments at which all has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.kafka import KafkaConfig
from flows.batch import Batch
from tests.contract.kafka_kit import produce
from tests.upstream.connect import ConnectWorker
from tests.upstream.customers import Customers
from tests.upstream.debezium import ENVELOPE, Sending
from tests.upstream.postgres import Postgres
from tests.upstream.topic_log import Letter, TopicLog

_SENT_SECONDS = 120.0
_BEHIND = 5
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Moment:
    """What there was when everything had come, and nobody wrote.

    Attributes:
        time: When that was, microseconds.
        table: The table's rows by our contract, by customer.
        batches: What was decoded of the topics, by the way of sending; with what was said in our own format besides.
        letters: What could not be.
    """

    time: int
    table: dict[str, dict[str, Any]]
    batches: dict[Sending, list[Batch]]
    letters: dict[Sending, list[Letter]]


@dataclass(frozen=True)
class Upstream:
    """The parts.

    Attributes:
        config: How to reach Kafka.
        database: PostgreSQL.
        customers: The table in it.
        worker: Debezium.
        topics: Where each connector writes to.
        own_topic: For changes in our own format.
        log: What is in all of them.
    """

    config: KafkaConfig
    database: Postgres
    customers: Customers
    worker: ConnectWorker
    topics: Mapping[Sending, str]
    own_topic: str
    log: TopicLog

    def live(self) -> dict[str, Moment]:
        """All that happens: the connectors are killed twice, the database once; gives the moments to look at."""
        customers, worker, database = self.customers, self.worker, self.database
        self._write(50)
        worker.start()
        self._write_until_sent()  # where the snapshot begins: nothing before it is to be sent
        self._write(10)
        self._write_until_sent()
        customers.alter("ADD plan text")
        self._write_until_killed()
        self._write(50)
        worker.start()
        self._write_until_sent()
        killed = self._look()

        self._write_until_killed()
        truncated = customers.truncate()
        self._write(50)
        customers.alter("DROP segment")
        customers.alter("RENAME phone TO msisdn")
        customers.touch()
        self._write(50)
        customers.begin()
        database.kill()
        database.start()
        customers.reconnect()
        self._write(50)
        worker.start()
        self._write_until_sent()
        customers.alter("REPLICA IDENTITY FULL")
        self._write(50)
        altered = self._look(truncated)

        customers.delete_before_truncate()
        customers.truncate()
        return {"killed": killed, "altered": altered, "emptied": self._look()}

    def _write(self, times: int) -> None:
        for _ in range(times):
            self.customers.write()

    def _write_until_sent(self) -> None:
        def write() -> None:
            self.customers.write()
            time.sleep(_PAUSE_SECONDS)

        self._until_sent(write)

    def _write_until_killed(self) -> None:
        """Kill the connectors while Kafka holds records of theirs that are not in their saved offsets."""
        saved = None
        while saved != self.worker.saved_at():
            self.worker.start()
            while saved != self.worker.saved_at():
                saved, held = self.worker.saved_at(), self.log.held(self.topics[ENVELOPE])
                while self.log.held(self.topics[ENVELOPE]) < held + _BEHIND:
                    self.customers.write()
            self.worker.kill()

    def _look(self, truncated: Collection[str] = ()) -> Moment:
        """Wait for everything, and do what dead letters call for: write again what is missing, delete who is gone."""
        self._until_sent(self._wait)
        self.log.read_on()
        letters = [each for topic in self.topics.values() for each in self.log.letters(topic)]
        missing = {each.customer for each in letters if each.customer is not None}
        if missing:
            self.customers.write_long_values_again(missing)
            self._until_sent(self._wait)
        table = self.customers.rows()
        self._delete([each for each in truncated if each not in table])
        self.log.read_on()
        own = self.log.batches(self.own_topic)
        return Moment(
            _now(),
            table,
            {sending: [*self.log.batches(topic), *own] for sending, topic in self.topics.items()},
            {sending: self.log.letters(topic) for sending, topic in self.topics.items()},
        )

    def _delete(self, customers: Sequence[str]) -> None:
        """Say in our own format that customers are gone."""
        gone = {"op": "delete", "source_system": "crm", "event_time": datetime.now(UTC).isoformat()}
        records = [{"value": orjson.dumps(gone | {"customer_id": each})} for each in customers]
        produce(self.config, self.own_topic, records)

    def _until_sent(self, wait: Callable[[], None]) -> None:
        """Wait until all connectors have told the database that Kafka holds all that is in its log by now."""
        position = self.customers.ask("SELECT pg_current_wal_lsn()")
        slots = f"SELECT FROM pg_replication_slots WHERE confirmed_flush_lsn >= '{position}'"
        deadline = time.monotonic() + _SENT_SECONDS
        while self.customers.ask(f"SELECT count(*) FROM ({slots}) sent") != str(len(self.topics)):
            assert time.monotonic() < deadline, self.worker.log()
            wait()

    def _wait(self) -> None:
        # only at the next change does a connector tell that it is past the last one
        self.customers.write_apart()
        time.sleep(_PAUSE_SECONDS)


def _now() -> int:
    return time.time_ns() // 1000
