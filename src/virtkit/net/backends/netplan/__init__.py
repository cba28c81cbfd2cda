"""netplan: YAML that says how links shall be, for networkd or NetworkManager to make (netplan-yaml(5)).

The files that define a link are edited as text. What netplan renders from them is read as a second opinion, and the
daemon that it renders for adopts the link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backend import Owner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Boot, File, Wish
    from virtkit.net.backends.netplan.renderer import Renderer, Roles

PROGRAM, GENERATOR = "/usr/sbin/netplan", "/usr/lib/systemd/system-generators/netplan"
PLACES = (("/run/systemd/network", "10-netplan-"), ("/run/NetworkManager/system-connections", "netplan-"))


class Netplan:
    title = "netplan"
    precedence = 10
    further_port = "{port} under ethernets: and into bridges.{bridge}.interfaces, then netplan generate"

    def owner(self, system: System, link: str) -> Owner | None:
        if not _works_here(system):
            return None
        from virtkit.net.backends.netplan import configuration, matching, writers

        files = configuration.read(system)
        found = [part for parts in matching.meaning(system, files, link) for part in parts]
        if not found:
            return None
        first = found[0]
        paths = tuple(dict.fromkeys(part.document.path for part in found))
        renderer = files.renderer(first.section, first.id)
        because = f"{first.place} defines it as {first.section}.{first.id}, for {renderer}"
        if origin := writers.origin(first.document.path):
            because += f"; {origin} wrote it, once"
        if exposed := [path for path in paths if writers.exposed(system, path)]:
            because += f"; {', '.join(exposed)} may be read by others than root: chmod 600 {' '.join(exposed)}"
        writer = "; ".join(dict.fromkeys(filter(None, (writers.writer(system, path) for path in paths))))
        return Owner("netplan", paths, because, writer)

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        from virtkit.net.backends.netplan import bridging, checks, configuration, opinion, rendering, roles

        files = configuration.read(system)
        before = rendering.render(system)
        if before.problems:
            raise NotSupportedError(f"netplan does not take its files as they are: {'; '.join(before.problems)}")
        daemon = roles.daemon(roles.read(system, wish.port, wish.bridge).renderer)
        changed = bridging.bridged(system, files, wish, daemon.pins(system, wish.held))
        after = rendering.render(system, changed)
        port = checks.definition(system, files, wish.port)[0].id
        wrong = after.problems or (opinion.bridged(before.files, after.files, wish, port) if changed else [])
        if wrong:
            raise NotSupportedError(f"netplan would make of the new files what was not asked for: {'; '.join(wrong)}")
        return (*changed, *daemon.additions(system, wish.port, wish.bridge))

    def released(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        from virtkit.net.backends.netplan import configuration, releasing, roles

        files = releasing.released(system, configuration.read(system), bridge, port)
        return (*files, *roles.daemon(roles.read(system, port, bridge).renderer).leftovers(system, bridge))

    def problems(self, system: System, files: Sequence[File]) -> list[str]:
        from virtkit.net.backends.netplan import rendering

        return rendering.render(system, files).problems

    def stand_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        daemon, roles = _daemon(system, port, bridge)
        daemon.stand_back(system, roles, port)

    def escorts(self, system: System, link: str) -> bool:
        daemon, _ = _daemon(system, link, "")
        return daemon.empties

    def introduce(self, system: System, port: str, bridge: str, report: Sink) -> None:
        daemon, roles = _daemon(system, port, bridge)
        daemon.introduce(system, roles, bridge)

    def dismiss(self, system: System, port: str, bridge: str, report: Sink) -> None:
        daemon, roles = _daemon(system, port, bridge)
        daemon.dismiss(system, roles, bridge)

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        daemon, roles = _daemon(system, port, bridge)
        daemon.adopt(system, roles, report)

    def let_go(self, system: System, port: str, bridge: str, report: Sink) -> None:
        daemon, roles = _daemon(system, port, bridge)
        daemon.let_go(system, roles, port)

    def missing(self, system: System, port: str, bridge: str) -> str:
        daemon, roles = _daemon(system, port, bridge)
        return daemon.missing(system, roles)

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        self.adopt(system, port, bridge, report)

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        daemon, _ = _daemon(system, port, bridge)
        return daemon.boot(system)


def _daemon(system: System, port: str, bridge: str) -> tuple[Renderer, Roles]:
    from virtkit.net.backends.netplan import roles

    found = roles.read(system, port, bridge)
    return roles.daemon(found.renderer), found


def _works_here(system: System) -> bool:
    """Installed, or at work since the start of the host."""
    if system.exists(PROGRAM) or system.exists(GENERATOR):
        return True
    return any(name.startswith(prefix) for place, prefix in PLACES for name in system.names(place))


BACKEND = Netplan()
