"""Against libvirt's own test driver: real libvirt, no daemon, no root."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import MachineError, NotFoundError, NotSupportedError
from virtkit.vm import connection, library
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtkit.vm.connection import Connection

NODE = """\
<node>
  <domain type='test'>
    <name>test</name>
    <memory unit='GiB'>1</memory>
    <vcpu>2</vcpu>
    <os><type>hvm</type></os>
    <devices>
      <disk type='file' device='disk'><source file='/guest/image'/><target dev='vda' bus='virtio'/></disk>
      <interface type='network'><mac address='aa:bb:cc:dd:ee:ff'/><source network='default'/></interface>
    </devices>
  </domain>
</node>
"""


@pytest.fixture
def libvirt(tmp_path: Path) -> Iterator[Connection]:
    """A host of the test's own: test:///default is shared by all who have it open in this process."""
    (tmp_path / "node.xml").write_text(NODE)
    with connection.open(f"test://{tmp_path}/node.xml") as opened:
        yield opened


def test_a_machine_is_found_by_name_uuid_and_number(libvirt: Connection) -> None:
    machine = libvirt.machine("test")
    assert libvirt.machine(machine.uuid).name == libvirt.machine(str(machine.id)).name == "test"


def test_a_name_wins_over_a_number(libvirt: Connection) -> None:
    domain = libvirt.machine("test").next_start()
    domain.name, domain.uuid = "1", ""
    libvirt.define(domain.text())
    assert libvirt.machine("1").id is None


def test_what_an_action_keeps_never_meets_another_machine_by_number(libvirt: Connection) -> None:
    assert libvirt.machine("1").name == "test"
    assert libvirt.find("1") is None
    with pytest.raises(NotFoundError):
        libvirt.named("1")


@pytest.mark.parametrize("key", ["nobody", "", "99", "9" * 40, "6695eb01-0000-0000-0000-000000000000", "a\nb"])
def test_a_machine_that_is_not_there_is_said_with_what_to_type(libvirt: Connection, key: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        libvirt.machine(key)
    assert caught.value.hint == "virtkit vm list"


def test_what_libvirt_refuses_keeps_its_message_and_its_number(libvirt: Connection) -> None:
    with pytest.raises(MachineError, match=r"^test: .*already running \(libvirt error 1\)$") as caught:
        libvirt.machine("test").start()
    assert library.error_number(caught.value.__cause__) == 1


def test_what_the_driver_cannot_do_is_not_supported(libvirt: Connection) -> None:
    with pytest.raises(NotSupportedError, match="virDomainOpenConsole"):
        libvirt.machine("test").open_console(libvirt.stream(), force=False)


def test_nobody_who_answers_is_an_error_with_a_command() -> None:
    with pytest.raises(MachineError, match=r"/nonexistent.* \(libvirt error 38\)") as caught:
        connection.open("qemu+unix:///system?socket=/nonexistent")
    assert caught.value.hint.startswith("virsh --connect qemu+unix")


def test_libvirt_prints_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MachineError):
        connection.open("nonsense:///")
    assert capfd.readouterr() == ("", "")


def test_an_undefined_machine_is_gone(libvirt: Connection) -> None:
    machine = libvirt.machine("test")
    machine.destroy()
    machine.ask(int, "undefineFlags", 0)  # the test driver knows no NVRAM
    assert libvirt.find("test") is None
    with pytest.raises(NotFoundError):
        machine.now()


def test_the_xml_of_a_real_driver_survives_reading_and_writing(libvirt: Connection) -> None:
    machine = libvirt.machine("test")
    asked = machine.ask(str, "XMLDesc", library.XML_INACTIVE)
    again = libvirt.define(Domain.parse(asked).text())
    assert again.ask(str, "XMLDesc", library.XML_INACTIVE) == asked


def test_python_without_libvirt_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "libvirt.py").write_text("")  # without its compiled half, as another Python's would be
    with pytest.raises(NotSupportedError, match=r"libvirt for Python 3\.\d+: not installed") as caught:
        library.load_from([str(tmp_path), "/nonexistent"])
    assert caught.value.hint.startswith("apt install python3-libvirt")


def test_the_distributions_module_is_found_without_its_folder_in_the_path() -> None:
    script = (
        "import sys; from virtkit.vm import connection; "
        "print(connection.open('test:///default').machine('test').name, [p for p in sys.path if 'dist-packages' in p])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "test []\n"
