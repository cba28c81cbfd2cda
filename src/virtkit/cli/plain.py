"""Reads plain command lines: every option is written out and known, and nothing is wrong.

argparse takes a quarter of the time of a small command, most of it for ``re``. So a command declares its arguments here
first, in argparse's words; where a line is not plain (help, errors, abbreviations ...), it declares them to argparse.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action, Namespace
    from collections.abc import Callable, Collection, Sequence
    from typing import TypedDict, Unpack

    class How(TypedDict, total=False):
        """What virtkit uses of ``add_argument``."""

        action: str | type[Action]
        nargs: str | int
        const: object
        type: Callable[[str], object]
        choices: Collection[object]
        default: object
        dest: str
        required: bool
        metavar: str
        help: str
        version: str

else:
    Namespace = object  # argparse's costs its import


HIDDEN = "==SUPPRESS=="  # argparse.SUPPRESS: a help text for what --help does not tell
_MANY = 1 << 30
_NUMBER = {"?": (0, 1), "*": (0, _MANY), "+": (1, _MANY)}  # of words, from and to


class NotPlainError(Exception):
    """argparse has the last word."""


class Answers(Namespace):
    """An attribute per argument, as in argparse's Namespace, which it is to a type checker."""

    def __init__(self, values: dict[str, object]) -> None:
        self.__dict__.update(values)


class Argument:
    def __init__(self, names: Sequence[str], how: How) -> None:
        self.how = how
        self.action = how.get("action", "store")
        self.nargs = how.get("nargs")
        long = [name for name in names if name.startswith("--")]
        self.dest = how.get("dest") or (long or names)[0].lstrip("-").replace("-", "_")

    def default(self) -> object:
        if self.action == "store_true":
            return False
        default = self.how.get("default")
        return self.value(default) if isinstance(default, str) else default

    def value(self, word: str) -> object:
        try:
            value = self.how["type"](word) if "type" in self.how else word
        except Exception as error:  # whatever it is: argparse comes across it too, and tells it
            raise NotPlainError from error
        if "choices" in self.how and value not in self.how["choices"]:
            raise NotPlainError
        return value


class Group:
    """Options of which a line has one at most."""

    def __init__(self, parser: Parser, *, required: bool) -> None:
        self._parser = parser
        self._members: list[Argument] = []
        self._required = required

    def add_argument(self, *names: str, **how: Unpack[How]) -> None:
        self._members.append(self._parser.declare(names, how))

    def check(self, said: Collection[Argument]) -> None:
        number = sum(member in said for member in self._members)
        if number > 1 or (self._required and not number):
            raise NotPlainError


class Commands:
    """What the first word decides."""

    def __init__(self, dest: str | None) -> None:
        self._dest = dest
        self._known: dict[str, Parser] = {}

    def add_parser(self, name: str, *, help: str = "", description: str = "") -> Parser:  # noqa: A002
        self._known[name] = Parser()
        return self._known[name]

    def read(self, words: Sequence[str]) -> dict[str, object]:
        if not words or words[0] not in self._known:
            raise NotPlainError
        said: dict[str, object] = {self._dest: words[0]} if self._dest else {}
        return said | self._known[words[0]].read(words[1:])


class Parser:
    """Stands in for argparse.ArgumentParser; ``parsing.Parser`` is the other that a command declares itself to."""

    def __init__(self) -> None:
        self.usage: str | None = None
        self.mixed = False  # files may stand between options although their number is open
        self.signed = False  # a number may be negative
        self.following: Sequence[str] = ()  # what follows this command on the command line, for options.verbs
        self._options: dict[str, Argument] = {}
        self._files: list[Argument] = []
        self._groups: list[Group] = []
        self._commands: Commands | None = None
        self._defaults: dict[str, object] = {}

    def add_argument(self, *names: str, **how: Unpack[How]) -> None:
        self.declare(names, how)

    def declare(self, names: Sequence[str], how: How) -> Argument:
        argument = Argument(names, how)
        if names[0].startswith("-"):
            self._options.update(dict.fromkeys(names, argument))
        else:
            self._files.append(argument)
        return argument

    def add_mutually_exclusive_group(self, *, required: bool = False) -> Group:
        self._groups.append(Group(self, required=required))
        return self._groups[-1]

    def add_subparsers(self, *, metavar: str, required: bool, dest: str | None = None) -> Commands:
        self._commands = Commands(dest)
        return self._commands

    def set_defaults(self, **values: object) -> None:
        self._defaults.update(values)

    def read(self, words: Sequence[str]) -> dict[str, object]:
        """What argparse would read, by the arguments' names; NotPlainError."""
        if self._commands:
            return self._defaults | self._commands.read(words)
        said, files = self._split(words)
        for group in self._groups:
            group.check(said)
        values = dict(self._defaults)
        for option in self._options.values():
            if option in said:
                values[option.dest] = said[option]
            elif option.how.get("required"):
                raise NotPlainError
            elif option.action != "version":
                values.setdefault(option.dest, option.default())
        return values | self._named(files)

    def _split(self, words: Sequence[str]) -> tuple[dict[Argument, object], list[str]]:
        said: dict[Argument, object] = {}
        files: list[str] = []
        places: list[int] = []  # of the files
        left = iter(enumerate(words))
        for place, word in left:
            if not word.startswith("-"):
                files.append(word)
                places.append(place)
                continue
            name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
            option = self._options.get(name)
            if option is None or option.nargs is not None:
                raise NotPlainError
            if option.action == "store_true" and not equals:
                said[option] = True
            elif option.action == "store":
                said[option] = option.value(value if equals else _value(next(left, (0, "-"))[1]))
            else:
                raise NotPlainError
        if files and not self.mixed and places[-1] - places[0] >= len(files):  # argparse may divide them otherwise
            raise NotPlainError
        return said, files

    def _named(self, files: Sequence[str]) -> dict[str, object]:
        """The words that are no options, by the names of the arguments that they are."""
        several = [argument for argument in self._files if argument.nargs is not None]
        spare = len(files) - (len(self._files) - len(several))
        least, most = _NUMBER.get(str(several[0].nargs), (1, 0)) if several else (0, 0)
        if len(several) > 1:
            most = len(several) if all(argument.nargs == "?" for argument in several) else -1
        if not least <= spare <= most:
            raise NotPlainError
        values: dict[str, object] = {}
        left = iter(files)
        for argument in self._files:
            if argument.nargs is None:
                values[argument.dest] = argument.value(next(left))
            elif argument.nargs == "?":
                values[argument.dest] = argument.value(next(left)) if spare else argument.default()
                spare = max(spare - 1, 0)
            elif spare:
                values[argument.dest] = [argument.value(next(left)) for _ in range(spare)]
            else:
                values[argument.dest] = argument.how.get("default") or []
        return values


def _value(word: str) -> str:
    if word.startswith("-"):
        raise NotPlainError
    return word
