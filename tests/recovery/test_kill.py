"""`signalbox run` on Apache Kafka, killed again and again, paused, and replaced while it lives."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random, SystemRandom
from threading import Thread

import polars as pl
import pytest
from confluent_kafka import Producer

from connectors.broker import ApacheKafka
from connectors.kafka import KafkaConfig
from privacy import Keyring, Tokenizer
from tests import fault_flow
from tests.fault_flow import SECOND
from tests.installation import FLOW, Command, Installation, new_installation, result_of, signal_process, wait_until
from tests.oracles.fault_notifications import LogRow, Rules
from tests.recovery.random_logs import (
    ALLOWED_LATENESS_SECONDS,
    MAX_DELAY_SECONDS,
    PARTITIONS,
    RandomLog,
    random_log,
)

pytestmark = pytest.mark.kafka

_PACE = {"fetch.message.max.bytes": "4000", "queued.min.messages": "1", "fetch.queue.backoff.ms": "120"}
