"""The energy counter of an NVIDIA GPU, read from the library that its driver brings; pip need not.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

import ctypes

LIBRARY = "libnvidia-ml.so.1"


class Counter:
    """Counts what a GPU's board has used since its driver was loaded; GPUs since Volta have one.

    ``library``: the driver's library, its ``nvmlInit`` done.
    """

    def __init__(self, library: ctypes.CDLL, device: ctypes.c_void_p) -> None:
        self._library = library
        self._device = device

    @classmethod
    def open(cls, gpu: str) -> Counter | None:
        """Find the counter of a GPU; None where there is no driver, no such GPU, or no counter on it."""
        try:
            library = ctypes.CDLL(LIBRARY)
            device = ctypes.c_void_p()
            if library.nvmlInit_v2() != 0:
                return None
            if gpu.isascii() and gpu.isdecimal() and len(gpu) < 6:
                failed = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(gpu)), ctypes.byref(device))
            else:
                failed = library.nvmlDeviceGetHandleByUUID(gpu.encode(), ctypes.byref(device))
        except (OSError, AttributeError):  # no driver, or one that is too old
            return None
        found = cls(library, device)
        return None if failed or found.millijoules() is None else found

    def millijoules(self) -> int | None:
        """Return what was used since the driver was loaded, in mJ; None when it does not tell."""
        count = ctypes.c_ulonglong()
        try:
            failed = self._library.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(count))
        except AttributeError:
            return None
        return None if failed else count.value
