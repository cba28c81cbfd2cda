"""What AppArmor and SELinux logged when they kept QEMU from a file, and the command that lets it in.

AppArmor: https://gitlab.com/apparmor/apparmor/-/wikis/AppArmor_Failures; SELinux: the AVC records of audit(8).
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CommandError, NotFoundError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System

_LOGS = ("/var/log/audit/audit.log", "/var/log/kern.log", "/var/log/messages")
_MOST = 1 << 19  # bytes of a log's end that are read
_FIELD = re.compile(r'\b([a-z_]+)=("[^"]*"|\S+)')
_AVC = re.compile(r"avc:\s+denied\s+\{ ([a-z_ ]+) \}")
_EVENT = re.compile(r"msg=audit\(([\d.]+:\d+)\)")
_BOOLEANS = {"nfs_t": "virt_use_nfs", "cifs_t": "virt_use_samba", "fusefs_t": "virt_use_fusefs"}
_HELPER = "virt-aa-helper"  # reads backing chains and writes each machine's profile


class Denial(NamedTuple):
    driver: str  # AppArmor or SELinux
    path: str  # a bare name where SELinux logged no path
    wanted: str  # "r", "rw"; SELinux: "read", "search"
    by: str  # the profile, or the context that was not let in
    label: str  # SELinux: the file's context
    directory: bool


def read(system: System) -> str:
    """The ends of the logs that may hold denials; what may not be read is left out."""
    found = [_end(system, log) for log in _LOGS]
    if system.exists("/usr/bin/journalctl"):
        try:
            kernel = ["journalctl", "--dmesg", "--quiet", "--no-pager", "--lines=500", "--output=cat"]
            found.append(system.run(kernel, check=False, timeout=10).stdout)
        except (CommandError, NotFoundError, SystemCallError):
            pass
    return "\n".join(found)


def _end(system: System, log: str) -> str:
    try:
        with system.path(log).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _MOST, 0))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def parse(log: str) -> list[Denial]:
    """All of them, the newest last."""
    lines = log.splitlines()
    paths = dict(_paths(lines))
    found = []
    for line in lines:
        fields = {key: _text(value) for key, value in _FIELD.findall(line)}
        if fields.get("apparmor") == "DENIED":
            path, mask = fields.get("name", ""), fields.get("denied_mask", "")
            found.append(Denial("AppArmor", path, mask, fields.get("profile", ""), "", path.endswith("/")))
        elif avc := _AVC.search(line):
            event = _EVENT.search(line)
            named = fields.get("path") or (paths.get(event[1]) if event else None) or fields.get("name", "")
            context, label = fields.get("scontext", ""), fields.get("tcontext", "")
            found.append(Denial("SELinux", named, avc[1], context, label, fields.get("tclass") == "dir"))
    return found


def about(found: Sequence[Denial], uuid: str, paths: Sequence[str]) -> Denial | None:
    """The newest that is about this machine: by its own AppArmor profile, or one of ``paths``."""
    names = {os.path.basename(path) for path in paths}
    for denial in reversed(found):
        if denial.by == f"libvirt-{uuid}" or denial.path in paths:
            return denial
        if denial.driver == "SELinux" and "svirt" in denial.by and os.path.basename(denial.path) in names:
            return denial
    return None


def told(denial: Denial) -> str:
    label = f" of a file labelled {denial.label}" if denial.label else ""
    return f"{denial.driver} kept {denial.by} from {denial.path} ({denial.wanted}){label}"


def mend(denial: Denial, path: str) -> str:
    """``path``: the whole one, where the log has its last part alone."""
    whole = denial.path if denial.path.startswith("/") else path
    folder = whole.rstrip("/") if denial.directory else os.path.dirname(whole)
    if denial.driver == "AppArmor":
        return _rule(denial, folder)
    kind = denial.label.split(":")[2] if denial.label.count(":") > 1 else ""
    if kind in _BOOLEANS:
        return f"setsebool -P {_BOOLEANS[kind]} on"
    if "home" in kind:
        return "keep images out of home directories: /var/lib/libvirt/images, or --disk elsewhere"
    pattern = shlex.quote(f"{folder}(/.*)?")
    return f"semanage fcontext -a -t virt_image_t {pattern} && restorecon -Rv {shlex.quote(folder)}"


def _rule(denial: Denial, folder: str) -> str:
    """A rule of the site's own, which packages never overwrite; a machine's profile is made anew at each start."""
    site, main = "/etc/apparmor.d/local", "/etc/apparmor.d/usr.lib.libvirt.virt-aa-helper"
    if _HELPER in denial.by:
        rule = shlex.quote(f'"{folder}/**" r,')
        return f"echo {rule} >>{site}/usr.lib.libvirt.virt-aa-helper && apparmor_parser -r {main}"
    rule = shlex.quote(f'"{folder}/**" rwk,')
    return f"echo {rule} >>{site}/abstractions/libvirt-qemu   (counts from the next start)"


def _paths(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """By event the path of its PATH record: an AVC record may have the file's name alone."""
    for line in lines:
        if "type=PATH" in line and (event := _EVENT.search(line)):
            fields = {key: _text(value) for key, value in _FIELD.findall(line)}
            if fields.get("nametype") != "PARENT" and fields.get("name", "").startswith("/"):
                yield event[1], fields["name"]


def _text(value: str) -> str:
    """Quoted, or in hex where it holds a space or a quote."""
    if value.startswith('"'):
        return value.strip('"')
    if re.fullmatch(r"2F([0-9A-F]{2})+", value):
        return bytes.fromhex(value).decode(errors="replace")
    return value
