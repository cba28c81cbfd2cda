"""The process behind a mounted image; ``daemon.start`` runs it."""

from __future__ import annotations

from virtkit.disk.mount import daemon, mounting

if __name__ == "__main__":
    daemon.carry_out(mounting.serve)
