"""Good records of every vendor format, as many as are wanted, each about somebody and something else."""

from benchmarks.vendor_records.blocks import format_blocks

__all__ = ["format_blocks"]
