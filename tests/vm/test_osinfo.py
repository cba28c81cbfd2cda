from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotFoundError
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.vm import osinfo
from virtkit.vm.osinfo import Database

if TYPE_CHECKING:
    from pathlib import Path

OS = '<libosinfo version="0.0.1"><os id="http://{name}">{rest}</os></libosinfo>'
FILES = {
    "old.xml": """<short-id>old1</short-id><name>Old 1</name><release-date>2001-01-01</release-date>
<devices><device id="http://pcisig.com/pci/1af4/1001"/><device id="http://pcisig.com/pci/1af4/1000"/></devices>
<media arch="x86_64"><iso><volume-id>DISC.*</volume-id></iso></media><media arch="all"><iso><volume-id>(</volume-id>
</iso></media><resources arch="all"><minimum><ram>268435456</ram></minimum></resources>""",
    "new.xml": """<short-id>new2</short-id><name>New 2</name><release-date>2020-01-01</release-date>
<derives-from id="http://old"/><firmware arch="x86_64" type="efi"/>
<firmware arch="x86_64" type="bios" supported="false"/><media arch="x86_64"><iso><volume-id>DISC 2</volume-id></iso>
</media><resources arch="x86_64"><minimum><ram>2147483648</ram></minimum><recommended><n-cpus>4</n-cpus>
<storage>34359738368</storage></recommended></resources>""",
    "new.d/more.xml": """<devices><device id="http://pcisig.com/pci/1af4/1042"/>
<device id="http://pcisig.com/pci/1af4/1000" removed="true"/></devices>""",
    "bare.xml": '<short-id>bare</short-id><devices><device id="http://qemu.org/chipset/x86/q35"/></devices>',
    "circle.xml": '<short-id>circle</short-id><derives-from id="http://circle"/><clones id="http://nowhere"/>',
}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    folder = tmp_path / "usr/share/osinfo/os/vendor"
    for file, rest in FILES.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OS.format(name=file.partition(".")[0], rest=rest))
    (folder / "broken.xml").write_text("<libosinfo><os")
    (folder / "entity.xml").write_text("<!DOCTYPE a [<!ENTITY a 'b'>]><libosinfo/>")
    return Database(System(tmp_path))


def test_an_old_system_has_what_it_says_and_the_usual_for_the_rest(database: Database) -> None:
    old = database.guest("old1")
    assert (old.name, old.memory, old.least_memory, old.cpus) == ("Old 1", 512 * MIB, 256 * MIB, 2)
    assert (old.virtio_disk, old.virtio_net, old.modern, old.efi_only) == (True, True, False, False)


def test_a_newer_one_has_what_it_is_derived_from_unless_it_says_otherwise(database: Database) -> None:
    new = database.guest("http://new")
    assert (new.memory, new.cpus, new.storage) == (2 * GIB, 4, 32 * GIB)
    assert (new.virtio_disk, new.virtio_net, new.modern, new.efi_only) == (True, False, True, True)


def test_q35_alone_is_modern_and_gets_no_virtio(database: Database) -> None:
    assert database.guest("bare")[6:9] == (False, False, True)


def test_a_circle_of_systems_ends(database: Database) -> None:
    assert database.guest("circle").memory == osinfo.UNKNOWN.memory


def test_an_installer_is_known_by_its_label_and_the_newest_wins(database: Database) -> None:
    found = [database.of_iso(label) for label in ("DISC 1", "DISC 2", "other")]
    assert [guest and guest.short for guest in found] == ["old1", "new2", None]


def test_an_unknown_one_names_those_that_are_like_it(database: Database) -> None:
    with pytest.raises(NotFoundError, match="expected one of old1$"):
        database.guest("old99")
    with pytest.raises(NotFoundError, match="expected a short id"):
        database.guest("x")


def test_without_a_database_there_is_none(tmp_path: Path) -> None:
    assert not Database(System(tmp_path))


def test_the_real_database_tells_debian_from_windows() -> None:
    real = Database(System())
    if not real:
        pytest.skip("needs osinfo-db")
    debian, windows = real.guest("debian11"), real.guest("win10")
    assert debian.virtio_disk
    assert debian.modern
    assert not windows.virtio_disk
    assert windows.memory >= GIB
