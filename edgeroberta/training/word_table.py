"""Numbers of short words, looked up some hundred thousand at a time with numpy.

A hash table with open addressing. It grows with its content: while it fits into the cache of a processor,
it is several times faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
#: The bytes of words and their lengths, uint64[words] three times.
Keys = list[npt.NDArray[np.uint64]]

#: Longest word, in bytes; with its length it is three integers.
LONGEST = 23
_FIRST_SLOTS = 1 << 12
#: Odd numbers with bits all over, as multiplicative hashing wants them (Knuth, TAOCP 3, 6.4).
_MIX = [np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)]
#: Masks of the first 0 to 8 bytes of a little-endian integer.
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(9)], np.uint64)


class WordTable:
    """Numbers words by the order in which they are added."""

    def __init__(self) -> None:
        self._slots: Indices = np.full(_FIRST_SLOTS, -1, np.int64)
        self._keys: Keys = [np.zeros(_FIRST_SLOTS, np.uint64) for _ in range(3)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, keys: Keys) -> Indices:
        """Return the number of each word, int64[words]; -1 where it was never added."""
        places = self._places(keys)
        found = self._slots[places]
        wrong = np.flatnonzero(self._is_other(found, keys))
        step = 0
        while len(wrong):
            step += 1
            there = self._slots[(places[wrong] + step) % len(self._slots)]
            found[wrong] = there
            wrong = wrong[self._is_other(there, [part[wrong] for part in keys])]
        return found

    def add(self, keys: Keys) -> None:
        """Add words that all differ and are not there yet; they get the next numbers in their order."""
        self._keys = [filled(old, new, self._count) for old, new in zip(self._keys, keys, strict=True)]
        first, self._count = self._count, self._count + len(keys[0])
        if 4 * self._count > len(self._slots):
            self._slots, first = np.full(1 << (4 * self._count).bit_length(), -1, np.int64), 0
        left = np.arange(first, self._count)
        places = self._places([part[first : self._count] for part in self._keys])
        while len(left):
            free = self._slots[places] < 0
            self._slots[places[free]] = left[free]
            late = self._slots[places] != left
            left, places = left[late], (places[late] + 1) % len(self._slots)

    def _is_other(self, numbers: Indices, keys: Keys) -> npt.NDArray[np.bool_]:
        """Tell where there is a word and it is another one."""
        different = self._keys[0][numbers] ^ keys[0]
        different |= self._keys[1][numbers] ^ keys[1]
        different |= self._keys[2][numbers] ^ keys[2]
        found: npt.NDArray[np.bool_] = (different != 0) & (numbers >= 0)
        return found

    def _places(self, keys: Keys) -> Indices:
        hashes = _hashes(keys)
        hashes >>= np.uint64(65 - len(self._slots).bit_length())
        return hashes.astype(np.int64)


def keys_of(data: bytes, starts: Indices, sizes: Indices) -> Keys:
    """Return the first 23 bytes of words, and their lengths, up to 255, in the last byte.

    ``data``: the text. ``starts``, ``sizes``: int64[words], where they are in it.
    """
    words = np.ndarray((len(data) + 1,), "<u8", data + bytes(8), strides=(1,))
    keys = [words[starts] & _MASKS[np.minimum(sizes, 8)], np.zeros(len(starts), np.uint64)]
    keys.append(np.minimum(sizes, 255).astype(np.uint64) << np.uint64(56))
    for part, most in ((1, 8), (2, 7)):
        longer = np.flatnonzero(sizes > 8 * part)
        more = words[starts[longer] + 8 * part]
        keys[part][longer] |= more & _MASKS[np.minimum(sizes[longer] - 8 * part, most)]
    return keys


def _hashes(keys: Keys) -> npt.NDArray[np.uint64]:
    mixed = keys[0] * _MIX[0]
    mixed ^= keys[1] * _MIX[1]
    mixed ^= keys[2] * _MIX[2]
    mixed ^= mixed >> np.uint64(32)
    mixed *= _MIX[0]
    return mixed


def filled(array: npt.NDArray[Any], values: npt.NDArray[Any], start: int) -> npt.NDArray[Any]:
    """Write values into an array, into a longer one where they do not fit; returns it."""
    if start + len(values) > len(array):
        more = np.zeros(max(2 * len(array), start + len(values)), array.dtype)
        more[:start] = array[:start]
        array = more
    array[start : start + len(values)] = values
    return array
