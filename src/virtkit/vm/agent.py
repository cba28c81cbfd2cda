"""The guest agent: what the guest says of itself, and programs run inside it.

qemu-ga's protocol: https://www.qemu.org/docs/master/interop/qemu-ga-ref.html. Everything here comes from the guest,
which may lie: it is read through typed getters and bounded by libvirt's 4 MiB per message.
"""

from __future__ import annotations

import base64
import binascii
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Json
    from virtkit.vm.machine import Machine

SECONDS = 5  # libvirt's own patience for the first word
_SHUTDOWN_SECONDS = 2


class Ran(NamedTuple):
    """A program that ended inside the guest; ``status`` is 128 + the signal's number if one ended it."""

    status: int
    stdout: str
    stderr: str


class Agent:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def ping(self, seconds: int = SECONDS) -> bool:
        """Whether the agent answers within ``seconds``."""
        try:
            self.machine.agent({"execute": "guest-ping"}, seconds)
        except MachineError:
            return False
        return True

    def wait(self, seconds: float) -> float:
        """Seconds until the agent answered; MachineError if it does not within ``seconds``."""
        began = time.monotonic()
        while not (self.machine.now().agent_connected and self.ping(2)):
            if time.monotonic() - began > seconds:
                hint = f"virtkit vm console {self.machine.name}"
                raise MachineError(f"{self.machine.name}: no guest agent answers after {seconds:g} s", hint=hint)
            time.sleep(0.1)
        return time.monotonic() - began

    def os_info(self) -> dict[str, str]:
        """id, name, pretty-name, version, kernel-release ...: what the guest's os-release and kernel say."""
        answer = self._record(self._ask("guest-get-osinfo"))
        return {key: str(value) for key, value in answer.items()}

    def shut_down(self) -> None:
        """Ask the guest to power off. It does not answer a request that it heeds: nobody knows before it is off."""
        with suppress(MachineError):
            self.machine.agent({"execute": "guest-shutdown"}, _SHUTDOWN_SECONDS)

    def interfaces(self) -> list[tuple[str, str, int]]:
        """(MAC, address, prefix length) as the guest sees its links."""
        links = self._ask("guest-network-get-interfaces")
        found = []
        for link in map(self._record, links if isinstance(links, list) else []):
            entries = link.get("ip-addresses")
            for entry in map(self._record, entries if isinstance(entries, list) else []):
                prefix = entry.get("prefix")
                mac, address = str(link.get("hardware-address", "")), str(entry.get("ip-address", ""))
                found.append((mac, address, prefix if isinstance(prefix, int) else 0))
        return found

    def cards(self) -> list[str]:
        """The MACs of the guest's links, with and without addresses."""
        links = self._ask("guest-network-get-interfaces")
        records = map(self._record, links if isinstance(links, list) else [])
        return [str(link["hardware-address"]) for link in records if "hardware-address" in link]

    def vcpus_online(self) -> int:
        """How many the guest uses; 0 if its agent does not say."""
        with suppress(MachineError):
            return sum(vcpu["online"] is True for vcpu in self._vcpus())
        return 0

    def use_vcpus(self, count: int) -> bool:
        """Bring the first ``count`` online and take the others offline; whether the guest uses just these then.

        The first CPU stays wherever the guest's kernel cannot do without it.
        """
        vcpus = sorted(
            self._vcpus(), key=lambda vcpu: (vcpu.get("can-offline") is True, str(vcpu["logical-id"]).zfill(5))
        )
        wanted: list[Json] = [
            {"logical-id": vcpu["logical-id"], "online": index < count}
            for index, vcpu in enumerate(vcpus)
            if vcpu["online"] != (index < count)
        ]
        if wanted:
            self._ask("guest-set-vcpus", {"vcpus": wanted})
        return self.vcpus_online() == count

    def memory(self) -> int:
        """Bytes that the guest's kernel has online, as its agent counts the blocks; 0 where it has no blocks."""
        size = self._record(self._ask("guest-get-memory-block-info")).get("size")
        blocks = self._ask("guest-get-memory-blocks")
        online = [1 for block in map(self._record, blocks if isinstance(blocks, list) else []) if block.get("online")]
        return len(online) * size if isinstance(size, int) else 0

    def disks(self) -> list[str]:
        """The guest's own names of its whole disks: /dev/vda ..."""
        found = self._ask("guest-get-disks")
        records = map(self._record, found if isinstance(found, list) else [])
        return sorted(str(disk["name"]) for disk in records if not disk.get("partition"))

    def freeze(self) -> None:
        """Flush the guest's file systems and stop their writers until ``thaw``."""
        self.machine.agent({"execute": "guest-fsfreeze-freeze"}, 60)

    def thaw(self) -> None:
        """Nothing to do where they are not frozen, or nobody answers."""
        with suppress(MachineError):
            if self.machine.agent({"execute": "guest-fsfreeze-status"}, 2) == "frozen":
                self.machine.agent({"execute": "guest-fsfreeze-thaw"}, 10)

    def execute(self, command: Sequence[str], *, seconds: float = 60) -> Ran:
        """Run a program (absolute path or in the agent's PATH) to its end; MachineError if it takes too long."""
        arguments: dict[str, Json] = {"path": command[0], "arg": list(command[1:]), "capture-output": True}
        process = self._record(self._ask("guest-exec", arguments)).get("pid")
        end = time.monotonic() + seconds
        while True:
            answer = self._record(self._ask("guest-exec-status", {"pid": process}))
            if answer.get("exited"):
                return Ran(self._status(answer), self._bytes(answer, "out-data"), self._bytes(answer, "err-data"))
            if time.monotonic() > end:
                raise MachineError(
                    f"{self.machine.name}: {' '.join(command)}: not done in the guest after {seconds:g} s"
                )
            time.sleep(0.1)

    def _ask(self, verb: str, arguments: dict[str, Json] | None = None) -> Json:
        command: dict[str, Json] = {"execute": verb}
        return self.machine.agent(command | ({"arguments": arguments} if arguments else {}), SECONDS)

    def _vcpus(self) -> list[dict[str, Json]]:
        vcpus = self._ask("guest-get-vcpus")
        return [self._record(vcpu) for vcpu in vcpus] if isinstance(vcpus, list) else []

    def _record(self, answer: Json) -> dict[str, Json]:
        if not isinstance(answer, dict):
            raise MachineError(f"{self.machine.name}: guest agent answers {answer!r}, expected a record")
        return answer

    def _status(self, answer: dict[str, Json]) -> int:
        ended, number = answer.get("exitcode"), answer.get("signal")
        if isinstance(ended, int):
            return ended
        return 128 + number if isinstance(number, int) else 255

    def _bytes(self, answer: dict[str, Json], key: str) -> str:
        try:
            return base64.b64decode(str(answer.get(key, ""))).decode(errors="replace")
        except binascii.Error as error:
            raise MachineError(f"{self.machine.name}: guest agent's {key} is no base64") from error
