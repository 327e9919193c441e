"""Read calls piece by piece from xLAM's array, as the model writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from ..openai_format import dumps
from ..types import ToolCall
from .reply_events import ArgumentsDelta, CallStart

_HEADER = re.compile(
    r'[\s\[,}]*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)', re.DOTALL
)
"""What stands before the arguments of a call, with the end of the call before it."""


class CallStream:
    """Splits the JSON of calls, which may arrive in any pieces, into names and arguments.

    A call that may still become a repetition of an earlier one is held back, because the turn
    removes repeated calls. Calls in other spellings than xLAM's array are left to `rest`.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._unread = ""
        self._depth = 0
        """How many objects and arrays of the arguments are open; 0 outside of arguments."""
        self._in_string = False
        self._escaped = False
        """Whether the last character was a backslash in a string."""
        self._name = ""
        self._arguments = ""
        """The arguments of the call that is being written, as far as they have been read."""
        self._sent = 0
        """How many characters of the arguments have been returned."""
        self._earlier: list[tuple[str, str]] = []
        """The names and arguments of the complete calls."""
        self.ids: list[str] = []
        """The ids of the calls that were returned; the last one may be incomplete."""

    def feed(self, text: str) -> Iterator[CallStart | ArgumentsDelta]:
        """Add text; yield the calls, and the parts of calls, that are certain."""
        self._unread += text
        while self._unread:
            if not self._depth and not self._read_header():
                return
            self._read_arguments()
            yield from self._certain()
            if not self._depth:
                self._earlier.append((self._name, self._arguments))

    def rest(self, calls: Sequence[ToolCall]) -> Iterator[CallStart | ArgumentsDelta]:
        """Yield those calls of the complete reply that were not returned before."""
        for index in range(len(self.ids), len(calls)):
            yield self._start(calls[index].name)
            yield ArgumentsDelta(index, dumps(calls[index].arguments))

    def _read_header(self) -> bool:
        """Read what stands before the arguments; return whether it is complete."""
        header = _HEADER.match(self._unread)
        if header is None:
            return False
        self._name = json.loads(header[1], strict=False)
        self._arguments, self._sent, self._depth = "{", 0, 1
        self._unread = self._unread[header.end() + 1 :]
        return True

    def _read_arguments(self) -> None:
        """Read the text up to the end of the arguments, or all of it."""
        end = self._arguments_end()
        self._arguments += self._unread[:end]
        self._unread = self._unread[end:]

    def _arguments_end(self) -> int:
        for end, char in enumerate(self._unread, 1):
            self._read_character(char)
            if not self._depth:
                return end
        return len(self._unread)

    def _read_character(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            self._escaped = char == "\\"
            self._in_string = char != '"'
        elif char == '"':
            self._in_string = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1

    def _certain(self) -> Iterator[CallStart | ArgumentsDelta]:
        """Yield what was read of a call, unless it may repeat an earlier call."""
        if any(
            name == self._name and arguments.startswith(self._arguments)
            for name, arguments in self._earlier
        ):
            return
        if not self._sent:
            yield self._start(self._name)
        piece = self._arguments[self._sent :]
        self._sent = len(self._arguments)
        yield ArgumentsDelta(len(self.ids) - 1, piece)

    def _start(self, name: str) -> CallStart:
        self.ids.append(self._new_id())
        return CallStart(len(self.ids) - 1, self.ids[-1], name)
