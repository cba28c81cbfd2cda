"""What a guest of QEMU was told to be (``-smp``, ``-numa``), and what its kernel must then say."""

from __future__ import annotations

from typing import NamedTuple

from virtkit.core.cpuset import format_list
from virtkit.core.units import MIB


class Spec(NamedTuple):
    sockets: int
    dies: int  # of each socket
    cores: int  # of each die
    threads: int  # of each core
    nodes: int  # each of as many sockets or dies
    distance: int  # of every two nodes
    pages: tuple[int, ...] = ()  # of 2 MiB, by node

    @property
    def cpus(self) -> int:
        return self.sockets * self.dies * self.cores * self.threads

    @property
    def name(self) -> str:
        return f"{self.sockets}s{self.dies}d{self.cores}c{self.threads}t{self.nodes}n{self.distance}"

    def runs(self, size: int) -> list[frozenset[int]]:
        """CPUs are numbered thread by thread, core by core, die by die."""
        return [frozenset(range(at, at + size)) for at in range(0, self.cpus, size)]

    @property
    def packages(self) -> list[frozenset[int]]:
        return self.runs(self.dies * self.cores * self.threads)

    @property
    def die_sets(self) -> list[frozenset[int]]:
        """Also the CPUs of each last-level cache."""
        return self.runs(self.cores * self.threads)

    @property
    def node_sets(self) -> list[frozenset[int]]:
        return self.runs(self.cpus // self.nodes)

    def qemu(self) -> list[str]:
        """Its arguments. Models of AMD would hide the threads under TCG."""
        smp = f"{self.cpus},sockets={self.sockets},dies={self.dies},cores={self.cores},threads={self.threads}"
        words = ["-cpu", "Icelake-Server", "-m", str(256 * self.nodes), "-smp", smp]
        for number, cpus in enumerate(self.node_sets):
            words += ["-object", f"memory-backend-ram,id=m{number},size={256 * MIB}"]
            words += ["-numa", f"node,nodeid={number},cpus={format_list(cpus)},memdev=m{number}"]
        for one in range(self.nodes):
            for other in range(self.nodes):
                if one != other:
                    words += ["-numa", f"dist,src={one},dst={other},val={self.distance}"]
        return words

    @property
    def command_line(self) -> str:
        pages = ",".join(f"{node}:{count}" for node, count in enumerate(self.pages))
        return f"console=ttyS0 quiet hugepages={pages}" if pages else "console=ttyS0 quiet"
