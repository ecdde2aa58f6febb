"""``python -m edgeroberta``: the same as the ``edgeroberta`` command; ``accelerate launch -m`` needs it."""

from __future__ import annotations

from edgeroberta.cli import main

if __name__ == "__main__":
    main()
