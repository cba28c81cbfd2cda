"""The smallest talk with a name server (RFC 1035, 4.1): who serves the root? Any answer will do, also a refusal."""

from __future__ import annotations

from virtkit.core.structs import Struct, layout, u16

RESPONSE, RECURSION_DESIRED = 0x8000, 0x0100  # flags
OPCODE = 0x7800
CODE = 0x000F
NS, INTERNET = 2, 1
ROOT = b"\0"
CODES = {0: "answers", 2: "answers that it failed", 3: "answers", 5: "answers that it refuses"}


@layout(">")
class Header(Struct):
    id: u16
    flags: u16
    questions: u16
    answers: u16 = 0
    authorities: u16 = 0
    additional: u16 = 0


@layout(">")
class Question(Struct):
    """After its name."""

    type: u16
    network: u16


def query(number: int) -> bytes:
    """The one question that every resolver knows the answer to, and that tells nobody what this host looks for."""
    return Header(number, RECURSION_DESIRED, 1).pack() + ROOT + Question(NS, INTERNET).pack()


def answer(packet: bytes, number: int) -> str | None:
    """What the server says to ``query(number)``; None: this is no answer to it."""
    if len(packet) < Header.SIZE:
        return None
    header = Header.parse(packet)
    if header.id != number or not header.flags & RESPONSE or header.flags & OPCODE:
        return None
    code = header.flags & CODE
    return CODES.get(code, f"answers with code {code}")
