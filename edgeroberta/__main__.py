"""The command ``edgeroberta``, also as ``python -m edgeroberta``, which ``accelerate launch -m`` needs."""

from __future__ import annotations

import sys

from edgeroberta.errors import UnavailableError
from edgeroberta.extras import require


def main() -> None:
    """Run the command line, or say what it needs: a device that runs bundles needs none."""
    try:
        require("cli", purpose="the command line")
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    from edgeroberta.cli import main as run

    run()


if __name__ == "__main__":
    main()
