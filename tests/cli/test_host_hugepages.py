from __future__ import annotations

import json
import os
import subprocess
import sys

from virtkit.cli.host.hugepages import _lines, _row
from virtkit.core.units import MIB
from virtkit.host.holders import Held, Holder
from virtkit.host.pools import Pool
from virtkit.recipes.hugepages import Stock, Usage
from virtkit.vm.backing import HugeClaim

WEB1 = Holder(7, "web1", machine=True, held=(Held(1, 2 * MIB, 512),))
POOL = Pool(1, 2 * MIB, 1000, 488, 900, (WEB1,))
OFF = HugeClaim("web2", active=False, size=2 * MIB, memory=64 * MIB)


def test_a_pool_names_its_users_and_what_the_next_boot_will_have() -> None:
    assert _row(POOL) == ("1", "2 MiB", "1000", "1.95 GiB", "488", "900", "web1 512")
    assert _row(POOL._replace(at_boot=None, holders=()))[-2:] == ("-", "-")


def test_what_is_stranded_and_who_still_waits_is_told_with_what_to_type() -> None:
    usage = Usage((POOL,), (OFF,), (Stock(2 * MIB, 488, 0, 32),), "", mounted=False)
    assert list(_lines(usage)) == [
        "web2: is off, and will want 32 pages of 2 MiB",
        "✗ stranded: 912 MiB: 456 free pages of 2 MiB (node 1) that no machine asks for",
        "  to give them back: virtkit host hugepages free",
        "✗ hugetlbfs is not mounted, and libvirt starts no machine on huge pages without it",
        "  to mend that: systemctl start dev-hugepages.mount; systemctl restart libvirtd (or virtqemud)",
    ]
    assert not list(_lines(Usage((POOL,), (), (Stock(2 * MIB, 488, 488, 0),), "", mounted=True)))[1:]


def test_this_host_answers_with_and_without_its_verb() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for verb in ([], ["show"]):
        command = [sys.executable, "-m", "virtkit", "host", "hugepages", *verb, "--output", "json"]
        found = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
        assert list(found) == ["pools", "claims", "stocks", "libvirt", "mounted"]
