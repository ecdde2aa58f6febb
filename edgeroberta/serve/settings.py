"""What a server allows: sizes, counts and seconds."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields

from edgeroberta.errors import UsageError

#: Fewer texts show only what is plain to see.
LEAST_WINDOW = 500


@dataclass(frozen=True)
class Settings:
    """Limits of a server."""

    host: str = "127.0.0.1"  # address to listen on
    port: int = 8080  # TCP port; 0 for one that is free
    workers: int | None = None  # threads that call the runtime; None: as the processor has room for
    queue: int = 64  # requests that may wait for a worker; the next one is turned away with 503
    max_batch: int = 32  # most texts in one request
    max_bytes: int = 1 << 20  # most bytes of a request's body
    timeout: float = 10.0  # seconds from a whole request to its answer; then it is 504
    read_timeout: float = 10.0  # seconds from the first byte of a request to its last
    # Above the 60 s for which common proxies keep a connection, so that they close first.
    idle_timeout: float = 75.0  # seconds a connection may stay open between requests
    grace: float = 10.0  # seconds that requests under way get when the server is told to stop
    # A quarter of the 1,024 open files that most systems allow a process.
    connections: int = 256  # most connections at once
    max_head_bytes: int = 16 << 10  # most bytes of a request's line and headers together
    page: bool = True  # whether a page at ``/`` asks for texts and shows the answers
    # Of a cascade, see ``drift``.
    drift_window: int = 2000  # texts that are compared with those the thresholds were chosen by
    drift_alarms: float = 0.01  # probability of a false warning in 200,000 texts; 0 for no warnings

    def __post_init__(self) -> None:
        """Refuse numbers that would make a server which answers nothing."""
        if not 0 <= self.port <= 65535:
            raise UsageError(f"a port is 0 to 65535, not {self.port}", where="port")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("host", "port", "workers", "page", "drift_alarms") and not value > 0:
                raise UsageError(f"must be above 0, not {value}", where=field.name)
        if self.drift_window < LEAST_WINDOW:
            raise UsageError(
                f"must be at least {LEAST_WINDOW}, not {self.drift_window}", where="drift_window"
            )
        if not 0 <= self.drift_alarms < 1:
            raise UsageError(f"a probability is wanted, not {self.drift_alarms}", where="drift_alarms")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"must be at least 1, not {self.workers}", where="workers")

    @property
    def loopback(self) -> bool:
        """True when only programs on this machine can reach the address."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name, which may resolve to anything
            return False
