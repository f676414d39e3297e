"""MetricsServer: what Prometheus scrapes."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import start_http_server

from connectors.metrics.collectors import build_registry
from schemas.errors import TerminalError


class MetricsServer:
    """Serves the metrics of a run over HTTP, from a thread of the process that supervises it.

    A context manager; it listens from its construction to `close`. It needs no worker to be alive: it reads files.
    There is no authentication, so it listens where it is told and nowhere else.

    Args:
        address: `host:port`; port 0 takes a free one. An IPv6 host stands in brackets.
        directory: The metrics directory.
        data_dir: The data directory whose tables are shown; None shows none.
        audit: The directory of the audit log; None shows none.

    Raises:
        TerminalError: The address is malformed, or cannot be listened on.
    """

    def __init__(self, address: str, directory: Path, data_dir: Path | None = None, audit: Path | None = None) -> None:
        host, port = _parse(address)
        try:
            self._server, self._thread = start_http_server(port, host, build_registry(directory, data_dir, audit))
        except OSError as error:
            raise TerminalError(
                f"cannot serve metrics on {address} ({error.strerror}); set SIGNALBOX_METRICS_ADDRESS to an address "
                "that is free"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise TerminalError(f"expected an address like 127.0.0.1:9464, came {address!r}; set SIGNALBOX_METRICS_ADDRESS")
    return host, int(port)
