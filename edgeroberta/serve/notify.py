"""Tells systemd how the service is doing, where it asks to be told (sd_notify(3), Type=notify)."""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger(__name__)


def notify(message: str) -> bool:
    """Send lines such as ``READY=1`` to the service manager; False where there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    # A leading @ stands for the zero byte of a name in the abstract namespace.
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(name)
            channel.sendall(message.encode("utf-8"))
    except OSError as error:
        logger.warning("the service manager cannot be told %s (%s)", message.partition("=")[0], error)
        return False
    return True


def watchdog_seconds() -> float | None:
    """Return how often the service manager requires a sign of life; None when it requires none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdigit() or int(microseconds) == 0 or meant != str(os.getpid()):
        return None
    return int(microseconds) / 1e6
