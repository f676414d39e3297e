"""Logging: structlog to stderr, for people or as JSON lines."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logs(**context: Any) -> None:
    """Set up structlog, and Python's own logging with it, by `SIGNALBOX_LOG_FORMAT` (console or json).

    Args:
        **context: Bound to every line of this thread, such as the worker's index.
    """
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    if os.environ.get("SIGNALBOX_LOG_FORMAT", "console") == "json":
        renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*_SHARED, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**context)
