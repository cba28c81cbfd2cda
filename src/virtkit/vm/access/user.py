"""As which user and groups QEMU runs: what libvirt says, not what a distribution usually calls it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.vm.connection import SYSTEM
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.xml import Element


class User(NamedTuple):
    name: str  # or its number, where the host has no name for it
    uid: int
    gid: int
    groups: frozenset[int]  # all, ``gid`` too


def of(libvirt: Connection, domain: Domain | None = None) -> User | None:
    """Who runs ``domain``'s QEMU; None where nobody can say: another host's, or QEMU stays root.

    libvirt's DAC driver names it in its capabilities; a domain may have a label of its own.
    """
    if libvirt.session:
        return user(os.geteuid(), os.getegid()) if os.geteuid() else None
    if libvirt.uri != SYSTEM:
        return None
    label = _own(domain) or _usual(libvirt, domain.type if domain else "")
    uid, _, gid = label.partition(":")
    numbers = _number(uid, group=False), _number(gid, group=True)
    return None if None in numbers or numbers[0] == 0 else user(numbers[0] or 0, numbers[1] or 0)


def user(uid: int, gid: int) -> User:
    import pwd

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return User(str(uid), uid, gid, frozenset({gid}))
    return User(name, uid, gid, frozenset(os.getgrouplist(name, gid)))


def keeps_owners(system: System, domain: Domain | None = None) -> bool:
    """Whether libvirt does not give images to QEMU's user.

    It was told so for all machines (dynamic_ownership = 0 in qemu.conf, which root alone can read), or for this one.
    """
    if domain and any(_is_dac(label) and label.get("relabel") == "no" for label in domain.node.findall("seclabel")):
        return True
    lines = system.read_or("/etc/libvirt/qemu.conf", "").splitlines()
    told = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "dynamic_ownership"]
    return bool(told) and told[-1] == "0"


def _own(domain: Domain | None) -> str:
    for label in domain.node.findall("seclabel") if domain else ():
        if _is_dac(label) and label.get("type") == "static":
            return label.findtext("label") or ""
    return ""


def _is_dac(label: Element) -> bool:
    return label.get("model") == "dac"


def _usual(libvirt: Connection, kind: str) -> str:
    host = parse(libvirt.host.ask(str, "getCapabilities"))
    for model in host.findall("host/secmodel"):
        if model.findtext("model") == "dac":
            labels = {base.get("type", ""): base.text or "" for base in model.findall("baselabel")}
            return labels.get(kind) or next(iter(labels.values()), "")
    return ""


def _number(name: str, *, group: bool) -> int | None:
    """``+64055``, ``64055`` or a name; None for what this host does not know."""
    import grp
    import pwd

    if name.removeprefix("+").isdecimal():
        return int(name.removeprefix("+"))
    try:
        return grp.getgrnam(name).gr_gid if group else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None
