"""Hosts that tests replay are recorded anew, in the guests of tests/guest/test_knobs.py.

By hand, as root: ``PYTHONPATH=src:tests python -m bench.host.record``; writes tests/data/hosts/NAME.json.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from guest.test_knobs import AMD, INTEL, Guest, running

HOSTS = {"two-nodes-smt": INTEL, "kvm-amd": AMD}
PLACE = Path(__file__).resolve().parents[2] / "data/hosts"


def record(guest: Guest) -> str:
    with TemporaryDirectory() as place, running(Path(place), guest) as agent:
        script = (
            f"sh /lib/drivers; {guest.prepare}\npython3 -m virtkit host facts --save host.json >&2 && base64 host.json"
        )
        text = base64.b64decode(agent.shell(f". /lib/workshop; cd /run; {script}"))
    return json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)


def main() -> int:
    for name, guest in HOSTS.items():
        (PLACE / f"{name}.json").write_text(record(guest) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
