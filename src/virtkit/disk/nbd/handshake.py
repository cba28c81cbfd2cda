"""What server and client agree on before the first request: fixed newstyle negotiation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB
from virtkit.disk.nbd.protocol import (
    ALLOCATION,
    ALLOCATION_ID,
    GREETING_MAGIC,
    LARGEST_PAYLOAD,
    LONGEST_STRING,
    OPTION_MAGIC,
    OPTION_REPLY_MAGIC,
    U16,
    U32,
    ExportName,
    Greeting,
    HandshakeFlag,
    InfoBlockSize,
    InfoExport,
    InfoType,
    Option,
    OptionAnswer,
    OptionHeader,
    OptionReply,
    TransmissionFlag,
)
from virtkit.disk.nbd.wire import HangUpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.export import Export
    from virtkit.disk.nbd.wire import Wire

SECONDS = 30  # for the whole of it
_LONGEST_OPTION = 16 * KIB  # bytes; some queries with names of the greatest length
_FLAGS = int(HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES)
_RESERVED = bytes(124)  # behind the answer to EXPORT_NAME


class Offer(NamedTuple):
    """What a server shows its clients."""

    export: Export
    name: str = ""
    discard: bool = False  # clients may give room back

    def flags(self, *, structured: bool) -> TransmissionFlag:
        flags = TransmissionFlag.HAS_FLAGS | TransmissionFlag.CAN_MULTI_CONN | TransmissionFlag.SEND_CACHE
        flags |= TransmissionFlag.SEND_FLUSH
        if structured:
            flags |= TransmissionFlag.SEND_DF
        if not self.export.writable:
            return flags | TransmissionFlag.READ_ONLY
        flags |= TransmissionFlag.SEND_FUA | TransmissionFlag.SEND_WRITE_ZEROES | TransmissionFlag.SEND_FAST_ZERO
        return flags | TransmissionFlag.SEND_TRIM if self.discard else flags

    @property
    def about(self) -> bytes:
        """For people."""
        return self.export.about.encode(errors="replace")

    def is_called(self, name: bytes) -> bool:
        """The empty name is that of the default export."""
        return name in {b"", self.name.encode()}


class Agreed(NamedTuple):
    structured: bool = False  # replies to reads come in chunks
    allocation: bool = False  # the client may ask for BLOCK_STATUS


class _RefusedError(Exception):
    def __init__(self, answer: OptionAnswer, why: str) -> None:
        super().__init__(why)
        self.answer = answer


class _Fields:
    """The data of an option, read once from its front; _RefusedError where it is malformed."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def take(self, length: int) -> bytes:
        if length > len(self._rest):
            raise _RefusedError(OptionAnswer.ERR_INVALID, "the option's data is cut short")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def number(self) -> int:
        return U32.parse(self.take(U32.SIZE)).value

    def short(self) -> int:
        return U16.parse(self.take(U16.SIZE)).value

    def string(self) -> bytes:
        length = self.number()
        if length > LONGEST_STRING:
            raise _RefusedError(OptionAnswer.ERR_TOO_BIG, f"a string has more than {LONGEST_STRING} bytes")
        return self.take(length)

    def end(self) -> None:
        if self._rest:
            raise _RefusedError(OptionAnswer.ERR_INVALID, "the option has more data than its fields")


class Handshake:
    """One negotiation. ``run`` returns when the client goes over to requests."""

    def __init__(self, wire: Wire, offer: Offer) -> None:
        self._wire = wire
        self._offer = offer
        self._structured = False
        self._contexts_of: bytes | None = None  # name of the export for which base:allocation was chosen
        self._agreed: Agreed | None = None
        self._option = 0
        self._zeroes = True
        self._steps: dict[int, Callable[[_Fields], None]] = {
            Option.LIST: self._list,
            Option.INFO: self._info,
            Option.GO: self._go,
            Option.STRUCTURED_REPLY: self._structured_reply,
            Option.LIST_META_CONTEXT: self._list_contexts,
            Option.SET_META_CONTEXT: self._set_contexts,
        }

    def run(self) -> Agreed:
        """HangUpError where the client ends it, breaks the protocol or takes longer than SECONDS."""
        self._wire.finish_within(SECONDS)
        self._greet()
        while not self._agreed:
            self._next_option()
        self._wire.finish_within(None)
        return self._agreed

    def _greet(self) -> None:
        self._wire.send(Greeting(GREETING_MAGIC, OPTION_MAGIC, _FLAGS).pack())
        flags = U32.parse(self._wire.read(U32.SIZE)).value
        if flags & ~_FLAGS:
            raise HangUpError
        self._zeroes = not flags & HandshakeFlag.NO_ZEROES

    def _next_option(self) -> None:
        header = OptionHeader.parse(self._wire.read(OptionHeader.SIZE))
        if header.magic != OPTION_MAGIC:
            raise HangUpError
        self._option = header.option
        if header.length > _LONGEST_OPTION:
            self._answer(OptionAnswer.ERR_TOO_BIG)
            raise HangUpError
        data = bytes(self._wire.read(header.length))
        if header.option == Option.EXPORT_NAME:
            self._export_name(data)
            return
        if header.option == Option.ABORT:
            self._answer(OptionAnswer.ACK)
            raise HangUpError
        try:
            self._step(_Fields(data))
        except _RefusedError as refused:
            self._answer(refused.answer, str(refused).encode())

    def _step(self, fields: _Fields) -> None:
        if self._option not in self._steps:
            raise _RefusedError(OptionAnswer.ERR_UNSUP, f"option {self._option} is not known")
        self._steps[self._option](fields)

    def _answer(self, answer: OptionAnswer, data: bytes = b"") -> None:
        self._wire.send(OptionReply(OPTION_REPLY_MAGIC, self._option, answer, len(data)).pack(), data)

    def _list(self, fields: _Fields) -> None:
        fields.end()
        name = self._offer.name.encode()
        self._answer(OptionAnswer.SERVER, U32(len(name)).pack() + name + self._offer.about)
        self._answer(OptionAnswer.ACK)

    def _info(self, fields: _Fields) -> None:
        self._tell(fields)

    def _tell(self, fields: _Fields) -> bytes:
        """Answer what INFO and GO ask; returns the name of the export that they ask for."""
        name = self._known(fields.string())
        wanted = {fields.short() for _ in range(fields.short())}
        fields.end()
        export = self._offer.export
        flags = self._offer.flags(structured=self._structured)
        self._answer(OptionAnswer.INFO, InfoExport(InfoType.EXPORT, export.size, flags).pack())
        self._answer(OptionAnswer.INFO, InfoBlockSize(InfoType.BLOCK_SIZE, 1, 64 * KIB, LARGEST_PAYLOAD).pack())
        texts = {InfoType.NAME: self._offer.name.encode(), InfoType.DESCRIPTION: self._offer.about}
        for kind, text in texts.items():
            if kind in wanted:
                self._answer(OptionAnswer.INFO, U16(kind).pack() + text)
        self._answer(OptionAnswer.ACK)
        return name

    def _go(self, fields: _Fields) -> None:
        name = self._tell(fields)
        self._agreed = Agreed(self._structured, self._contexts_of == name)

    def _export_name(self, name: bytes) -> None:
        """The old way to begin, without structured answers: who asks for another export is left alone."""
        if not self._offer.is_called(name):
            raise HangUpError
        flags = self._offer.flags(structured=self._structured)
        self._wire.send(ExportName(self._offer.export.size, flags).pack(), _RESERVED if self._zeroes else b"")
        self._agreed = Agreed(self._structured, self._contexts_of == name)

    def _structured_reply(self, fields: _Fields) -> None:
        fields.end()
        self._structured = True
        self._answer(OptionAnswer.ACK)

    def _list_contexts(self, fields: _Fields) -> None:
        _name, queries = self._queries(fields)
        if not queries or {b"base:", ALLOCATION.encode()} & set(queries):
            self._answer(OptionAnswer.META_CONTEXT, U32(0).pack() + ALLOCATION.encode())
        self._answer(OptionAnswer.ACK)

    def _set_contexts(self, fields: _Fields) -> None:
        self._contexts_of = None
        name, queries = self._queries(fields)
        if ALLOCATION.encode() in queries:
            self._contexts_of = name
            self._answer(OptionAnswer.META_CONTEXT, U32(ALLOCATION_ID).pack() + ALLOCATION.encode())
        self._answer(OptionAnswer.ACK)

    def _queries(self, fields: _Fields) -> tuple[bytes, list[bytes]]:
        if not self._structured:
            raise _RefusedError(OptionAnswer.ERR_INVALID, "structured replies come first")
        name = self._known(fields.string())
        queries = [fields.string() for _ in range(fields.number())]
        fields.end()
        return name, queries

    def _known(self, name: bytes) -> bytes:
        if not self._offer.is_called(name):
            raise _RefusedError(OptionAnswer.ERR_UNKNOWN, "there is no export of this name")
        return name
