"""The shape that saved state depends on: written at the first start, held against every later one.

Bytewax drops the state of a step whose id changed, and panics on a saved source partition that is gone. Shards and
writers are keys of saved state, so their number is a format too. The number of workers is none: it may change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import orjson
from bytewax.recovery import init_db_dir

from flows.data_directory import DataDirectory, replace_file, sync_directory
from schemas.errors import TerminalError


@dataclass(frozen=True, kw_only=True)
class PersistedFormat:
    """What must not change between two starts on the same data directory.

    Attributes:
        steps: Version of the step ids and of the states behind them.
        shards: Number of state shards.
        writers: Number of writers of each Kafka sink.
        recovery_partitions: Number of SQLite files of the recovery store.
        output_partitions: Partitions of every output topic.
        inputs: Partitions per input topic. May grow, must not shrink.
    """

    steps: int
    shards: int
    writers: int
    recovery_partitions: int
    output_partitions: int
    inputs: dict[str, int]


_FIXED = {
    "steps": "start with the release that wrote it, or on an empty data directory",
    "shards": "set it back, or start on an empty data directory",
    "writers": "set it back, or start on an empty data directory",
    "recovery_partitions": "start with the release that wrote it, or on an empty data directory",
    "output_partitions": "output topics must keep their number of partitions; start on an empty data directory",
}


def adopt_format(directory: DataDirectory, flow: str, wanted: PersistedFormat) -> None:
    """Hold `wanted` against what is stored, store it, and make the recovery store if there is none.

    Args:
        directory: The data directory; its directories exist.
        flow: The flow's name.
        wanted: What this start would use.

    Raises:
        TerminalError: The stored format differs, is unreadable, or is gone while a recovery store is there.
    """
    stored = stored_format(directory, flow)
    recovery = directory.recovery(flow)
    if stored is None and recovery.exists():
        raise TerminalError(
            f"expected {directory.format(flow)} beside the recovery store {recovery}, got no such file: "
            "restore the state directory, or remove both to start from the beginning"
        )
    if stored is not None:
        refuse_mismatch(stored, wanted)
    if stored != wanted:
        replace_file(directory.format(flow), orjson.dumps(asdict(wanted), option=orjson.OPT_INDENT_2))
    if not recovery.exists():
        _create_recovery_store(directory, flow, wanted.recovery_partitions)


def stored_format(directory: DataDirectory, flow: str) -> PersistedFormat | None:
    """The format that the first start wrote, None before it.

    Raises:
        TerminalError: The file is there and cannot be understood.
    """
    path = directory.format(flow)
    try:
        return PersistedFormat(**orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, orjson.JSONDecodeError) as error:
        raise TerminalError(
            f"expected the format of flow {flow} in {path}, got {type(error).__name__}: restore the file from a backup"
        ) from error


def refuse_mismatch(stored: PersistedFormat, wanted: PersistedFormat) -> None:
    """Compare two formats.

    Raises:
        TerminalError: The saved state cannot be used with `wanted`.
    """
    for name, advice in _FIXED.items():
        before, now = getattr(stored, name), getattr(wanted, name)
        if before != now:
            label = name.replace("_", " ")
            raise TerminalError(f"expected {label} {before} as in the saved state, got {now}: {advice}")
    for topic, partitions in stored.inputs.items():
        now = wanted.inputs.get(topic, 0)
        if now == 0:
            raise TerminalError(
                f"expected topic {topic} as in the saved state, got no such topic: "
                "put it back into topics.toml or create it again, or start on an empty data directory"
            )
        if now < partitions:
            raise TerminalError(
                f"expected at least {partitions} partitions of topic {topic} as in the saved state, got {now}: "
                "start on an empty data directory"
            )


def _create_recovery_store(directory: DataDirectory, flow: str, partitions: int) -> None:
    """Make the store under another name first, so that a crash leaves none rather than half of one."""
    recovery = directory.recovery(flow)
    half_made = recovery.with_name(f".{flow}.new")
    half_made.mkdir(mode=0o700, exist_ok=True)
    for leftover in half_made.iterdir():
        leftover.unlink()
    init_db_dir(half_made, partitions)  # type: ignore[no-untyped-call]
    half_made.rename(recovery)
    sync_directory(recovery.parent)
