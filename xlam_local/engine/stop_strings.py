"""End a reply before a stop string, also if the string spans several tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from .llama_context import DecodeRequest


class StopStrings:
    """Finds the first of several stop strings in a text that arrives in pieces."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""
        """The end of the text so far, which may begin a stop string."""
        self.found = False
        """Whether the text ends here."""

    def feed(self, text: str) -> str:
        """Add a piece; return the text that is certain to come before any stop string."""
        self._held += text
        starts = [self._held.find(string) for string in self._strings]
        if found := [start for start in starts if start >= 0]:
            self.found = True
            self._held = self._held[: min(found)]
            return self.flush()
        certain = len(self._held) - max(map(self._begun, self._strings), default=0)
        text, self._held = self._held[:certain], self._held[certain:]
        return text

    def flush(self) -> str:
        """Return the text that is held back."""
        text, self._held = self._held, ""
        return text

    def _begun(self, string: str) -> int:
        """Return how many characters at the end of the text begin a stop string."""
        longest = min(len(string) - 1, len(self._held))
        lengths = range(longest, 0, -1)
        return next((n for n in lengths if self._held.endswith(string[:n])), 0)


def until_stop(
    reply: Generator[str | DecodeRequest, None, None],
    strings: Sequence[str],
    applies: Callable[[], bool],
) -> Generator[str | DecodeRequest, None, None]:
    """Yield what a reply yields, its text up to the first stop string, and close it there.

    `applies` returns whether stop strings end the text that was yielded last.
    """
    stop_strings = StopStrings(strings)
    with closing(reply):
        for item in reply:
            if isinstance(item, DecodeRequest):
                yield item
                continue
            shown = stop_strings.feed(item) if applies() else stop_strings.flush() + item
            if shown:
                yield shown
            if stop_strings.found:
                return
    if rest := stop_strings.flush():
        yield rest
