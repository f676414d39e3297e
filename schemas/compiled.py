"""Functions that numba compiles: inner loops over arrays, where numpy would need many passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Compile at the first call, once per machine (numba keeps the machine code beside the source), without the GIL.

    `_nrt=False` leaves out numba's reference counts: a kernel allocates nothing, and counting the arrays at every
    inner call made up three quarters of the time. Positions are cast to uint64 where they index in an inner
    loop: numba then leaves out the test for a negative index, which costs more than the access.

    The kept machine code is made anew when the module of the kernel changes, but not when a kernel that it calls from
    another module does: after such a change delete the `*.nbi` files in `__pycache__`.
    """
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))
