"""Free ports of this machine for the servers that tests start."""

import socket

__all__ = ["free_port"]


def free_port() -> int:
    """A port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
