"""Compiles everything that is compiled on first use: `python -m flows.warm`.

numba keeps the machine code beside the sources, so a machine needs this once, and again after a kernel has changed. A
worker that finds nothing compiled does it itself, and its first records wait for that.
"""

from __future__ import annotations

import sys
import time

from connectors.kafka.reader import warm_up as warm_up_reader
from flows.operators.presence import warm_up as warm_up_presence
from flows.operators.uses import warm_up as warm_up_uses
from privacy.kernels import warm_up as warm_up_tokens
from schemas.codec import warm_up as warm_up_codec


def main() -> None:
    """Compile, or find that it is done, and say how long it took."""
    began = time.monotonic()
    warm_up_codec()
    warm_up_reader()
    warm_up_presence()
    warm_up_uses()
    warm_up_tokens()
    print(f"kernels are compiled ({time.monotonic() - began:.1f} s)", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
