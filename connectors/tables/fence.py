"""Who may publish: the process that claimed the data directory last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.tables.durable import locked, write_atomically
from connectors.tables.layout import DEFAULT_FLOW, check_flow_name, tables_directory
from schemas.errors import TerminalError


def claim_generation(data_dir: Path, flow: str = DEFAULT_FLOW) -> int:
    """Take over a flow's tables: whoever claimed them before can publish no more.

    Call it at each start, before the workers start.

    Args:
        data_dir: The data directory; made when missing.
        flow: Name of the flow.

    Returns:
        The new generation, 1 at the first start.
    """
    path = _generation_path(data_dir, flow)
    with locked(_lock_path(data_dir, flow)):
        generation = _read(path) + 1
        write_atomically(path, b"%d\n" % generation)
    return generation


class Fence:
    """Lets through whoever holds the present generation, one at a time.

    Args:
        data_dir: The data directory.
        flow: Name of the flow.
        generation: What `claim_generation` gave; None takes the present one.
    """

    def __init__(self, data_dir: Path, flow: str, generation: int | None = None) -> None:
        self._lock = _lock_path(data_dir, flow)
        self._path = _generation_path(data_dir, flow)
        self._generation = _read(self._path) if generation is None else generation

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from claiming or publishing meanwhile.

        Raises:
            TerminalError: Another process has claimed the tables.
        """
        with locked(self._lock):
            if _read(self._path) != self._generation:
                raise TerminalError(
                    f"another process has taken over this data directory ({self._path.parent.parent}); "
                    "only one may run a flow, stop one of them"
                )
            yield


def _generation_path(data_dir: Path, flow: str) -> Path:
    return tables_directory(data_dir) / f"generation-{check_flow_name(flow)}"


def _lock_path(data_dir: Path, flow: str) -> Path:
    return tables_directory(data_dir) / f".lock-{check_flow_name(flow)}"


def _read(path: Path) -> int:
    try:
        return int(path.read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError as error:
        raise TerminalError(f"{path}: expected a number; remove the file and start again") from error
