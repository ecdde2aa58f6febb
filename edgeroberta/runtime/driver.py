"""The CUDA that a machine's driver runs, and which of CUDA's Python bindings fit it.

Standard library only: the device is asked before this package is there; see
:mod:`edgeroberta.remote.program`.
"""

from __future__ import annotations

import ctypes


def driver_version() -> tuple[int, int] | None:
    """Return the newest CUDA that the driver runs, e.g. ``(12, 6)``; None without a driver."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    number = ctypes.c_int()
    # The driver's API: one integer is set, 0 is success; 12060 is CUDA 12.6.
    if library.cuDriverGetVersion(ctypes.byref(number)):
        return None
    return number.value // 1000, number.value % 1000 // 10


def requirement(driver: tuple[int, int]) -> str:
    """Return the pip requirement of the newest bindings that a driver can run."""
    major, minor = driver
    return f"cuda-python>={major},<{major}.{minor + 1}"
