"""Download a file from the Hub into the cache: resume, retry, and verify the SHA-256."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from ..errors import IntegrityError, XlamError
from . import blob_lock, gguf, hf_cache
from .checksum import Checksum, compute_checksum, save_block_hashes
from .disk import check_free_space, write_errors
from .download_writer import BUFFER_BYTES, DownloadWriter
from .hub import HubClient, RemoteFile
from .hub_errors import ContentMismatch, RetryableError
from .model_names import HubFile
from .retry import DEFAULT_RETRY_POLICY, Retries, RetryPolicy, StallDetector, with_retries
from .types import Progress, Store

DISK_CHECK_INTERVAL_BYTES = 64 << 20
"""The free disk space is checked each time that so many bytes have arrived."""


class FileReplaced(XlamError):
    """The Hub has a new version of the file."""


def download(
    hub: HubClient, hub_file: HubFile, store: Store, policy: RetryPolicy = DEFAULT_RETRY_POLICY
) -> Iterator[Progress]:
    """Download a file into the cache. A partial file that is there already is resumed.

    The last progress has the path of the file.

    Raises:
        HubUnreachable: too many requests failed in a row.
        IntegrityError: the content does not have the announced checksum, or is not GGUF.
        XlamError: the Hub refuses access, or the file cannot be written.
    """
    remote = yield from with_retries(lambda: hub.file_metadata(hub_file), policy)
    try:
        yield from _Download(hub, remote, store, policy).run()
    except FileReplaced:
        remote = yield from with_retries(lambda: hub.file_metadata(hub_file), policy)
        yield from _Download(hub, remote, store, policy).run()


class _Download:
    """The download of a file, in as many requests as it needs."""

    def __init__(
        self, hub: HubClient, remote: RemoteFile, store: Store, policy: RetryPolicy
    ) -> None:
        self.hub = hub
        self.remote = remote
        self.name = remote.hub_file.file
        self.store = store
        self.policy = policy
        self.blob = hf_cache.blob_path(store.hub_cache, remote.hub_file.repo, remote.sha256)
        self.partial = hf_cache.partial_path(self.blob)

    def run(self) -> Iterator[Progress]:
        """Download the file, unless the cache has a valid one."""
        with write_errors(self.blob):
            if (yield from self.is_installed()):
                yield self.link()
                return
            lock = yield from blob_lock.acquire(self.blob, self.remote.size)
            with lock:
                # Another process can have installed it in the meantime.
                if not (yield from self.is_installed()):
                    yield from self.install()
                yield self.link()

    def is_installed(self) -> Generator[Progress, None, bool]:
        """Return whether the blob exists and has the right checksum."""
        if not self.blob.is_file() or self.blob.stat().st_size != self.remote.size:
            return False
        checksum = yield from compute_checksum(self.blob, "checking the installed file")
        return self.is_valid(checksum)

    def is_valid(self, checksum: Checksum) -> bool:
        """Return whether a checksum is the announced one; if so, save its block hashes."""
        if checksum.sha256() != self.remote.sha256:
            return False
        save_block_hashes(checksum, self.store)
        return True

    def link(self) -> Progress:
        """Link the file to its blob; return the last progress."""
        remote = self.remote
        path = hf_cache.link_snapshot(
            self.store.hub_cache, remote.hub_file, remote.commit, remote.sha256
        )
        return Progress(remote.size, remote.size, "installed", path)

    def install(self) -> Iterator[Progress]:
        """Download the missing bytes, verify the file and make it the blob.

        An interruption keeps the partial file, to resume from it. An invalid file is deleted.
        """
        try:
            with DownloadWriter(self.partial) as writer:
                yield from writer.resume(self.remote.size)
                yield from self.fetch_verified(writer)
            gguf.read(self.partial, self.name)
            self.partial.replace(self.blob)
        except (IntegrityError, FileReplaced):
            self.partial.unlink()
            raise
        finally:
            if self.partial.is_file() and not self.partial.stat().st_size:
                self.partial.unlink()

    def fetch_verified(self, writer: DownloadWriter) -> Iterator[Progress]:
        """Download until the checksum is right; start over once if it is wrong after a resume."""
        for _ in range(2):
            resumed = writer.size > 0
            requests = yield from self.fetch_remaining(writer)
            if self.is_valid(writer.finish()):
                return
            if not resumed and requests == 1:
                break
            writer.restart()
        raise IntegrityError(
            f"The content that the server sends for {self.name} does not have the SHA-256 "
            f"{self.remote.sha256}. It was not installed."
        )

    def fetch_remaining(self, writer: DownloadWriter) -> Generator[Progress, None, int]:
        """Download to the last byte; return the number of requests."""
        retries, requests, restarted = Retries(self.policy), 0, False
        while writer.size < self.remote.size:
            requests += 1
            try:
                yield from self.fetch_range(writer)
            except RetryableError as error:
                yield from retries.back_off(error, self.progress(writer))
                yield from self.refresh_metadata()
            except ContentMismatch as error:
                yield from self.refresh_metadata()
                if restarted:
                    raise IntegrityError(f"{error} It was not installed.") from error
                restarted = True
                writer.restart()
        return requests

    def fetch_range(self, writer: DownloadWriter) -> Iterator[Progress]:
        """Append the response of one request for the remaining bytes."""
        check_free_space(self.partial, self.remote.size - writer.size)
        with self.hub.open_range(self.remote, writer.size) as body:
            if body.start != writer.size:
                writer.restart()
            stall_detector = StallDetector(self.policy, writer.size)
            while remaining := self.remote.size - writer.size:
                if not writer.append(min(remaining, BUFFER_BYTES), body.readinto):
                    raise RetryableError("The connection was closed")
                stall_detector.check(writer.size)
                if writer.size % DISK_CHECK_INTERVAL_BYTES < BUFFER_BYTES:
                    check_free_space(self.partial, self.remote.size - writer.size)
                yield self.progress(writer)

    def refresh_metadata(self) -> Iterator[Progress]:
        """Get a new URL for the content.

        Raises:
            FileReplaced: the Hub has other content now.
        """
        hub_file, sha256 = self.remote.hub_file, self.remote.sha256
        self.remote = yield from with_retries(lambda: self.hub.file_metadata(hub_file), self.policy)
        if self.remote.sha256 != sha256:
            raise FileReplaced(f"{self.name} was replaced on the Hub during the download.")

    def progress(self, writer: DownloadWriter) -> Progress:
        """Return the progress of the file."""
        return Progress(writer.size, self.remote.size, f"downloading {self.name}")
