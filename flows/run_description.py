"""What a supervisor tells its workers: one JSON document in the environment.

Only the standard library is imported here, so that a worker is quick to have its signal handler.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VARIABLE = "SIGNALBOX_RUN"

EXIT_TERMINAL = 78
"""A worker's exit code after a TerminalError (EX_CONFIG of sysexits.h): do not restart."""
EXIT_TRANSIENT = 75
"""A worker's exit code after a TransientError (EX_TEMPFAIL of sysexits.h): restart."""
EXIT_UNEXPECTED = 70
"""A worker's exit code after any other exception (EX_SOFTWARE of sysexits.h): restart, but not for ever."""


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """One worker's part of a run. It holds no secrets: those stay in the `SIGNALBOX_` variables.

    Attributes:
        flow: The flow's name.
        worker: This worker's index.
        addresses: `host:port` of every worker, by index.
        epoch_milliseconds: Time between two snapshots; 0 when somebody else says how long an epoch is.
        until_caught_up: End when every input is read.
        config: The flow's configuration, as in the `--config` file.
        inputs: Partitions per input topic.
        output_partitions: Partitions of every notification topic.
        generation: This start's claim on the tables.
        supervisor: Process id of the supervisor; the worker ends with it.
        report: File descriptor on which the worker says why it failed.
    """

    flow: str
    worker: int = 0
    addresses: list[str] = field(default_factory=list)
    epoch_milliseconds: int = 800
    until_caught_up: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    output_partitions: int = 1
    generation: int = 0
    supervisor: int = 0
    report: int = -1

    def to_environment(self) -> dict[str, str]:
        """The variable that `from_environment` reads."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> RunDescription:
        """Read the description that the supervisor wrote.

        Raises:
            KeyError: There is none.
        """
        return cls(**json.loads(environment[VARIABLE]))
