"""cloud-init's NoCloud data source: three files on a file system called cidata.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html; the network is version 2, netplan's form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from virtkit.core.errors import NotFoundError, SystemCallError, UsageError
from virtkit.recipes.seed import iso9660

LABEL = "cidata"
LARGEST = 1 << 20  # bytes of a file that the user gives
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")  # RFC 1123, 2.1
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # useradd(8)
_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?")


@dataclass(frozen=True)
class Seed:
    hostname: str
    instance: str  # cloud-init does its first-boot work again when this changes: host keys, users, name
    user: str = ""  # may become root by sudo, without a password; empty: the image's own default user
    keys: tuple[str, ...] = ()  # public SSH keys, a line each
    network: str = ""  # a network-config of its own; empty: DHCP on every network card
    user_data: str = ""  # a user-data of its own, in place of what user and keys would make


def check(seed: Seed) -> None:
    """UsageError for what cloud-init would ignore without a word."""
    if not _HOSTNAME.fullmatch(seed.hostname):
        raise UsageError(f"hostname is {seed.hostname!r}, expected letters, digits, - and dots, as in web1.example.org")
    if seed.user and not _USER.fullmatch(seed.user):
        raise UsageError(f"user is {seed.user!r}, expected small letters, digits, _ and -, as in admin")
    for key in seed.keys:
        if not _KEY.fullmatch(key):
            raise UsageError(f"SSH key is {key[:40]!r}, expected a public key's line as in ~/.ssh/id_ed25519.pub")
    if seed.user_data and not seed.user_data.startswith(("#", "Content-Type:", "MIME-Version:")):
        first = seed.user_data.partition("\n")[0][:40]
        raise UsageError(f"user-data: first line is {first!r}, expected #cloud-config, or #! of a script")
    if seed.user_data.startswith("#cloud-config"):
        _mapping(seed.user_data, "user-data")
    if seed.network and not {"version", "network"} & _mapping(seed.network, "network-config").keys():
        raise UsageError("network-config: has no version, expected version: 2, as netplan's files have it")
    if not seed.keys and not seed.user_data:
        raise UsageError(
            "cloud-init: no SSH key is given, and nobody could log in",
            hint="--ssh-key ~/.ssh/id_ed25519.pub, or --user-data FILE",
        )


def _mapping(text: str, what: str) -> dict[object, object]:
    """UsageError for what is no YAML mapping: cloud-init would go on without it."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{what}: is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{what}: is {str(found)[:40]!r}, expected a mapping (key: value)")
    return found


def files(seed: Seed) -> dict[str, bytes]:
    found = {
        "meta-data": _meta_data(seed),
        "user-data": seed.user_data or _user_data(seed),
        "network-config": seed.network or _network(),
    }
    return {name: text.encode() for name, text in found.items()}


def image(seed: Seed) -> bytes:
    check(seed)
    return iso9660.image(LABEL, files(seed))


def keys_of(path: str) -> tuple[str, ...]:
    """The public keys in a file; UsageError for a private one, which must not get into a guest."""
    text = given(path)
    if "PRIVATE KEY" in text:
        raise UsageError(f"{path}: is a private key, expected the public one", hint=f"--ssh-key {path}.pub")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def given(path: str) -> str:
    """What a file that the user names holds."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error
    if len(text) > LARGEST:
        raise UsageError(f"{path}: is longer than {LARGEST} bytes, which cloud-init may not take")
    return text


def _meta_data(seed: Seed) -> str:
    return f"instance-id: {seed.instance}\nlocal-hostname: {seed.hostname}\n"


def _user_data(seed: Seed) -> str:
    head = f"#cloud-config\nhostname: {seed.hostname}\nmanage_etc_hosts: true\n"
    if not seed.user:
        return f"{head}ssh_authorized_keys:\n{_listed(seed.keys, 2)}"
    rights = "    sudo: ALL=(ALL) NOPASSWD:ALL\n    shell: /bin/bash\n    lock_passwd: true\n"
    return f"{head}users:\n  - name: {seed.user}\n{rights}    ssh_authorized_keys:\n{_listed(seed.keys, 6)}"


def _listed(keys: tuple[str, ...], indent: int) -> str:
    return "".join(f"{' ' * indent}- {_quoted(key)}\n" for key in keys)


def _network() -> str:
    """Every wired card by its name: ``en*`` and ``eth*`` are what Linux calls them."""
    cards = "".join(f"  {kind}:\n    match:\n      name: {kind}*\n    dhcp4: true\n" for kind in ("en", "eth"))
    return f"version: 2\nethernets:\n{cards}"


def _quoted(text: str) -> str:
    """As a YAML scalar in single quotes, YAML 1.2.2 7.3.2."""
    return "'" + text.replace("'", "''") + "'"
