"""Makes the recovery store forget epochs that were lost, for Bytewax 0.21 does not.

When a run is killed, some of its keys may have stored a snapshot of its last epoch and others not. The next run resumes
from the epoch before, and so repeats that one, but a key that it does not touch in it gets no new snapshot, and the old
one stays. To the run after it looks like any other: state of an epoch that never was, and the garbage collection has
deleted the true one for it.

Source:
    Bytewax 0.21.1, `src/recovery.rs`: `resume_from`, `SerializedSnapshotLoader.select`, `RecoveryCommitter.commit`.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path


def forget_lost_epochs(recovery: Path) -> int:
    """Delete every snapshot that the next run will not resume from.

    Nobody may be running on the store. May be interrupted and called again.

    Args:
        recovery: The directory of the recovery store.

    Returns:
        How many there were.

    Raises:
        sqlite3.Error: The store cannot be read or written.
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(closing(sqlite3.connect(path))) for path in sorted(recovery.glob("*.sqlite3"))]
        resume_epoch = _resume_epoch(parts)
        if resume_epoch is None:
            return 0
        forgotten = 0
        for part in parts:
            with part:
                forgotten += part.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (resume_epoch,)).rowcount
        return forgotten


def _resume_epoch(parts: list[sqlite3.Connection]) -> int | None:
    """The epoch that the next run begins with: the first one that a worker of the last run did not close."""
    runs = [row for part in parts for row in part.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")]
    if not runs:
        return None
    run, workers, resumed_from = max(runs)
    closed = dict.fromkeys(range(workers), int(resumed_from))
    for part in parts:
        fronts = part.execute("SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?", (run,))
        for worker, frontier in fronts:
            closed[worker] = max(closed[worker], int(frontier))
    return min(closed.values())
