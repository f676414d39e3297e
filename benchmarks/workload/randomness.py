"""Random numbers that depend on the seed and on what they are drawn for, and on nothing else."""

from __future__ import annotations

import random
import zlib

import numpy as np


def columns(seed: int, subject: str) -> np.random.Generator:
    """A numpy generator for `subject`: what is drawn for one subject never shifts another."""
    return np.random.default_rng([seed, zlib.crc32(subject.encode())])


def singles(seed: int, subject: str) -> random.Random:
    """A generator for values drawn one by one."""
    return random.Random(f"{seed}/{subject}")
