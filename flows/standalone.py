"""A flow for `python -m bytewax.run`, without a supervisor."""

from __future__ import annotations

import signal
import threading

from bytewax.dataflow import Dataflow

from connectors.settings import Settings
from flows.data_directory import DataDirectory
from flows.logs import configure_logs
from flows.preparation import prepare
from flows.run_description import RunDescription
from flows.topic_plan import require_flow
from flows.wiring import wire


def standalone_flow(flow: str) -> Dataflow:
    """Build a flow from the environment.

    Who runs it sees to what `signalbox run` does otherwise: that it runs once on a data directory, starts again after
    a failure, and snapshots often enough. Its recovery store is `recovery/<flow>` in the data directory. What the last
    epoch wrote into tables shows at the next start.

    Raises:
        TerminalError: The configuration, the topics or the saved state do not fit.
        KeyringError: There is no keyring that can be used.
        TransientError: Kafka does not answer.
    """
    require_flow(flow)
    configure_logs()
    settings = Settings.load()
    DataDirectory(settings.data_dir).prepare(flow)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return wire(settings, prepare(settings, RunDescription(flow=flow, epoch_milliseconds=0)), stop).flow
