"""Write lvs.json and vgs.json beside this file: what LVM says in a guest (LVM 2.03.16, Debian 12's kernel 6.1).

PYTHONPATH=tests python tests/data/lvm/make.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from guest import workshop
from support.qemu import Machine
from virtkit.disk.lvm.report import GROUP_FIELDS, VOLUME_FIELDS

HERE = Path(__file__).parent
REPORT = "--reportformat json --units b --nosuffix --options"
SCRIPT = """
sh /lib/drivers
pvcreate -q /dev/vda
vgcreate -q vg0 /dev/vda
lvcreate -qyn root -L 64m vg0
lvcreate -qs -n snap -L 16m vg0/root
lvcreate -q --type thin-pool -n pool -L 256m vg0
lvcreate -qn thin -V 1g --thinpool pool vg0
lvcreate -qs -n backup vg0/thin
lvcreate -qyn with-hyphen -L 8m vg0
lvcreate -qyn two.parts -L 8m vg0
lvextend -q -L 16m vg0/with-hyphen
lvchange -an vg0/two.parts
dd if=/dev/urandom of=/dev/vg0/thin bs=1M count=10 conv=fsync
dd if=/dev/urandom of=/dev/vg0/snap bs=1M count=1 conv=fsync
sleep 60 </dev/vg0/with-hyphen >/dev/null &
sleep 1
"""


def main() -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder)
        kernel, initramfs = workshop.build(place, workshop.LVM)
        disk = place / "disk.raw"
        with disk.open("wb") as file:
            file.truncate(2 << 30)
        boot = ("-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet")
        with Machine(place, ["-m", "512", *boot, "-drive", f"if=virtio,format=raw,file={disk}"]) as machine:
            agent = machine.agent()
            agent.shell(f". /lib/workshop\n({SCRIPT}) >/dev/null 2>&1")
            for program, fields in (("lvs", VOLUME_FIELDS), ("vgs", GROUP_FIELDS)):
                answer = agent.shell(f". /lib/workshop; {program} {REPORT} {','.join(fields)} 2>/dev/null")
                (HERE / f"{program}.json").write_text(answer)


if __name__ == "__main__":
    main()
