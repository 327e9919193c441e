"""A file from the Hub into the cache, byte for byte, whatever happens on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ..errors import IntegrityError, XlamError
from . import cache, gguf
from .digest import Digest, digest, keep_marks
from .hub import Hub, Remote
from .lock import released, taken
from .names import OnHub
from .refusals import Changed, Interrupted, Unreachable
from .types import Progress, Store, amount
from .writer import BUFFER, Writer

T = TypeVar("T")
ROOM_EVERY = 64 << 20
"""Bytes between two looks at the room on the disk."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a fetch puts up with a bad connection."""

    tries: int = 8
    """Requests in a row that bring nothing new, before it gives up."""
    pause: float = 1.0
    """Seconds before the second try; each further pause is twice as long, up to a minute."""
    slowest: float = 1024.0
    """Bytes a second; a connection that brings less over the window hangs."""
    window: float = 60.0


DEFAULT_PATIENCE = Patience()


class Replaced(XlamError):
    """The Hub has another file under this name now."""


def fetch(
    hub: Hub, wanted: OnHub, store: Store, patience: Patience = DEFAULT_PATIENCE
) -> Iterator[Progress]:
    """Bring a file into the store, going on where a broken fetch stopped.

    The last progress has the path of the file.
    """
    remote = yield from asked(lambda: hub.file(wanted), patience)
    try:
        yield from _Fetch(hub, remote, store, patience).run()
    except Replaced:
        remote = yield from asked(lambda: hub.file(wanted), patience)
        yield from _Fetch(hub, remote, store, patience).run()


def asked(question: Callable[[], T], patience: Patience) -> Generator[Progress, None, T]:
    """What the Hub answers, asked again while it is busy."""
    tries = _Tries(patience)
    while True:
        try:
            return question()
        except Interrupted as error:
            yield from tries.after(error, Progress(0, 0, ""))


class _Tries:
    """Requests in a row that brought nothing new."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.failed = 0
        self.reached = 0

    def after(self, error: Interrupted, so_far: Progress) -> Iterator[Progress]:
        """Pause before the next try, unless there were too many."""
        if so_far.done > self.reached:
            self.reached, self.failed = so_far.done, 0
        self.failed += 1
        if self.failed >= self.patience.tries:
            raise Unreachable(f"{error}, {self.failed} times in a row. {_kept(so_far)}") from error
        seconds = min(self.patience.pause * 2 ** (self.failed - 1), 60.0)
        yield from _rest(error, max(seconds, error.wait or 0.0), so_far)


def _kept(so_far: Progress) -> str:
    if not so_far.done:
        return "Try again later."
    kept = f"{amount(so_far.done)} of {amount(so_far.total)} are kept"
    return f"{kept}, and pulling again goes on there."


def _rest(error: Interrupted, seconds: float, so_far: Progress) -> Iterator[Progress]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield Progress(so_far.done, so_far.total, f"{error}; again in {left:.0f} s")
        time.sleep(min(left, 0.5))


class _Fetch:
    """One file on its way, over as many requests as it takes."""

    def __init__(self, hub: Hub, remote: Remote, store: Store, patience: Patience) -> None:
        self.hub = hub
        self.remote = remote
        self.name = remote.wanted.file
        self.store = store
        self.patience = patience
        self.blob = cache.blob(store.hub, remote.wanted.repo, remote.sha256)
        self.partial = cache.partial(store.hub, remote.wanted.repo, remote.sha256)

    def run(self) -> Iterator[Progress]:
        """Bring the file, unless the cache has it already, every byte of it."""
        with cache.writing(self.blob):
            if (yield from self.here()):
                yield self.installed()
                return
            lock = yield from taken(self.blob, self.remote.size)
            with released(lock):
                if not (yield from self.here()):
                    yield from self.bring()
                yield self.installed()

    def installed(self) -> Progress:
        """Give the blob its name; the last progress."""
        path = cache.place(
            self.store.hub, self.remote.wanted, self.remote.commit, self.remote.sha256
        )
        return Progress(self.remote.size, self.remote.size, "installed", path)

    def here(self) -> Generator[Progress, None, bool]:
        """Whether the blob is there and right."""
        if not self.blob.is_file() or self.blob.stat().st_size != self.remote.size:
            return False
        found = yield from digest(self.blob, "checking what is here")
        return self.right(found)

    def right(self, found: Digest) -> bool:
        """Whether the bytes are those that the Hub announces."""
        if found.sha256() != self.remote.sha256:
            return False
        keep_marks(found, self.store)
        return True

    def bring(self) -> Iterator[Progress]:
        """Fetch what is missing, check the whole, and give it its name."""
        try:
            with Writer(self.partial) as writer:
                yield from writer.take_up(self.remote.size)
                yield from self.complete(writer)
            gguf.read(self.partial, self.name)
            self.partial.replace(self.blob)
        except (IntegrityError, Replaced):
            self.partial.unlink()
            raise
        finally:
            if self.partial.is_file() and not self.partial.stat().st_size:
                self.partial.unlink()

    def complete(self, writer: Writer) -> Iterator[Progress]:
        """Fetch until the hash is right; what several requests brought gets a second chance."""
        for _ in range(2):
            one_piece = writer.size == 0
            requests = yield from self.to_the_end(writer)
            if self.right(writer.finish()):
                return
            if one_piece and requests == 1:
                break
            writer.rewind()
        raise IntegrityError(
            f"The bytes that the server sends for {self.name} have another SHA-256 than "
            f"{self.remote.sha256}; nothing was installed."
        )

    def to_the_end(self, writer: Writer) -> Generator[Progress, None, int]:
        """Fetch to the last byte; in how many requests."""
        tries, requests, begun_anew = _Tries(self.patience), 0, False
        while writer.size < self.remote.size:
            requests += 1
            try:
                yield from self.request(writer)
            except Interrupted as error:
                yield from tries.after(error, self.so_far(writer))
                yield from self.renew()
            except Changed as error:
                yield from self.renew()
                if begun_anew:
                    raise IntegrityError(f"{error} Nothing was installed.") from error
                begun_anew = True
                writer.rewind()
        return requests

    def request(self, writer: Writer) -> Iterator[Progress]:
        """Append what one request brings."""
        cache.check_room(self.partial, self.remote.size - writer.size)
        with self.hub.open(self.remote, writer.size) as body:
            if body.start != writer.size:
                writer.rewind()
            pace = _Pace(self.patience, writer.size)
            while left := self.remote.size - writer.size:
                if not writer.fill(min(left, BUFFER), body.readinto):
                    raise Interrupted("The connection broke off")
                pace.check(writer.size)
                if writer.size % ROOM_EVERY < BUFFER:
                    cache.check_room(self.partial, self.remote.size - writer.size)
                yield self.so_far(writer)

    def renew(self) -> Iterator[Progress]:
        """Ask where the bytes are now, and whether they are still the same."""
        old = self.remote
        self.remote = yield from asked(lambda: self.hub.file(old.wanted), self.patience)
        if self.remote.sha256 != old.sha256:
            raise Replaced(f"{self.name} was replaced on the Hub while it was fetched.")

    def so_far(self, writer: Writer) -> Progress:
        """How far the file is."""
        return Progress(writer.size, self.remote.size, f"fetching {self.name}")


class _Pace:
    """Notices a connection that hangs without breaking."""

    def __init__(self, patience: Patience, size: int) -> None:
        self.patience = patience
        self.size = size
        self.since = time.monotonic()

    def check(self, size: int) -> None:
        """Break off when a whole window brought next to nothing."""
        now = time.monotonic()
        if (seconds := now - self.since) < self.patience.window:
            return
        if size - self.size < self.patience.slowest * seconds:
            raise Interrupted("The connection hangs")
        self.since, self.size = now, size
