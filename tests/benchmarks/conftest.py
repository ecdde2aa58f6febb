"""Makes the benchmarks importable: they are run from the root of a clone, and are not installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
