"""Guests of random ``-smp`` and ``-numa``, booted and read: 15 s each, only with VIRTKIT_DEPTH above 1.

``VIRTKIT_RECORD=1`` writes the records that ``tests/host/test_specs.py`` reads again.
"""

from __future__ import annotations

import os
import shutil
from random import Random
from typing import TYPE_CHECKING

import pytest

from guest import workshop
from host.specs import Spec
from host.test_specs import RECORDS, SPECS, agrees
from support.depth import only_deep
from support.qemu import Machine
from virtkit.core.errors import NotSupportedError
from virtkit.host.kernel import Kernel
from virtkit.host.record import load, replayed
from virtkit.host.topology import read_topology

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(300),
    only_deep("takes minutes"),
]
SAVE = """\
import json
from virtkit.host.kernel import Kernel
from virtkit.host.record import FORMAT, Witness, taken
from virtkit.host.topology import read_topology
witness = Witness()
read_topology(Kernel(witness))
print(json.dumps(taken(witness)))
"""


def _random(seed: int) -> Spec:
    random = Random(seed)
    sockets, dies = random.randint(1, 3), random.choice((1, 1, 2))
    nodes = random.choice([count for count in range(1, 5) if sockets * dies % count == 0])
    pages = tuple(random.randint(1, 30) for _ in range(nodes))
    return Spec(sockets, dies, random.randint(1, 3), random.randint(1, 2), nodes, random.randint(11, 40), pages)


KNOWN = SPECS if os.environ.get("VIRTKIT_RECORD") else []


@pytest.mark.parametrize("spec", [*KNOWN, *map(_random, range(6))], ids=lambda spec: spec.name)
def test_a_guest_that_boots_is_read_as_qemu_was_told(tmp_path: Path, spec: Spec) -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    try:
        kernel, initramfs = workshop.build(tmp_path, workshop.Kit((), (), (), (), (("opt/save.py", SAVE.encode()),)))
    except NotSupportedError as error:
        pytest.skip(error.message)
    boot = ("-kernel", str(kernel), "-initrd", str(initramfs), "-append", spec.command_line)
    with Machine(tmp_path, [*spec.qemu(), *boot]) as machine:
        said = machine.agent().shell(". /lib/workshop; cd /run; python3 /opt/save.py 2>&1")
    record = tmp_path / f"{spec.name}.json"
    record.write_text(said)
    with replayed(load(str(record))) as system:
        agrees(read_topology(Kernel(system)), spec)
    if spec in KNOWN:
        RECORDS.mkdir(exist_ok=True)
        shutil.copy(record, RECORDS)
