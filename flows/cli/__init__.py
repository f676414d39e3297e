"""The `signalbox` command."""

from flows.cli.app import main

__all__ = ["main"]
