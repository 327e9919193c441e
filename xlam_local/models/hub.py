"""The Hugging Face Hub: its file lists, its metadata, and the bytes of a file from any place on."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import IntegrityError, UsageError
from .names import REPO, OnHub, safe
from .refusals import Changed, asking, reading

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a repository, as the Hub announces it."""

    wanted: OnHub
    commit: str
    sha256: str
    size: int
    location: str = ""
    """Where its bytes are now."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in a repository's list."""

    file: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository under its own name, in its own case, with its GGUF files."""

    repo: str
    files: tuple[Listed, ...]


class Body:
    """Bytes that are on their way; `start` is the place in the file that they begin at."""

    def __init__(self, remote: Remote, start: int, response: http.client.HTTPResponse) -> None:
        self.remote = remote
        self.start = start
        self._response = response
        self._left = response.length
        """Bytes that the server still owes; None where it does not say how many."""

    def readinto(self, buffer: memoryview) -> int:
        """Put into the buffer what has come; 0 when the server has no more to say."""
        with reading(self.remote.wanted.file, self.remote.location):
            if self._left is None:
                return self._response.readinto1(buffer)
            # A response's own readinto1 makes a copy; the stream below it writes into the buffer.
            count: int = self._response.fp.readinto1(buffer[: self._left])
            self._left -= count
            return count


class Hub:
    """A Hub that can be asked, with a token or without."""

    def __init__(self, endpoint: str, token: str | None = None, timeout: float = 30.0) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.token = token
        self.timeout = timeout
        self._opener: urllib.request.OpenerDirector | None = None

    @classmethod
    def here(cls, timeout: float = 30.0) -> Hub:
        """The Hub that the environment names, with the user's token."""
        try:
            from huggingface_hub import constants, get_token
        except ValueError as error:
            raise UsageError(f"One of the HF_ variables cannot be read: {error}.") from error
        return cls(constants.ENDPOINT, get_token(), timeout)

    def listing(self, repo: str, revision: str = "main") -> Listing:
        """The repository's GGUF files."""
        from huggingface_hub import HfApi

        with asking(repo, None, self.endpoint):
            api = HfApi(endpoint=self.endpoint, token=self.token or False)
            info = api.model_info(
                repo, revision=revision, files_metadata=True, timeout=self.timeout
            )
            return _listing(info)

    def file(self, wanted: OnHub) -> Remote:
        """What the Hub says of one file."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        repo, revision = wanted.repo, wanted.revision
        with asking(repo, wanted.file, self.endpoint):
            url = hf_hub_url(repo, wanted.file, revision=revision, endpoint=self.endpoint)
            found = get_hf_file_metadata(
                url, token=self.token or False, timeout=self.timeout, endpoint=self.endpoint
            )
        return _remote(wanted, found)

    @contextmanager
    def open(self, remote: Remote, start: int) -> Iterator[Body]:
        """The bytes of the file from `start` on, or from 0 where the server knows no ranges."""
        request = urllib.request.Request(remote.location, headers=_headers(start))
        if self.token and _origin(remote.location) == _origin(self.endpoint):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        with reading(remote.wanted.file, remote.location):
            response = self._open(request)
        with response:
            yield Body(remote, _start(response, start, remote), response)

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        if urlsplit(request.full_url).scheme not in ("http", "https"):
            raise IntegrityError(
                f"The Hub points to {request.full_url!r}, which is no web address."
            )
        self._opener = self._opener or _opener()
        response: http.client.HTTPResponse = self._opener.open(request, timeout=self.timeout)
        return response


def _opener() -> urllib.request.OpenerDirector:
    """What reads over HTTP alone, with the proxies and the certificates that the Hub is asked with.

    urllib reads into a buffer that is there already, several times faster than httpx hands out
    new pieces.
    """
    import httpx2

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=httpx2.create_ssl_context()),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _headers(start: int) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "xlam-local"}
    return {**headers, "Range": f"bytes={start}-"} if start else headers


def _start(response: http.client.HTTPResponse, asked: int, remote: Remote) -> int:
    """Where the response begins, once it is clear that it is of the announced file."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Changed(f"The server sends {remote.wanted.file} in another encoding than asked for.")
    if response.status == http.client.PARTIAL_CONTENT:
        text = response.headers.get("Content-Range", "")
        if not (match := re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text)):
            raise Changed(
                f"The server sends a part of {remote.wanted.file} and does not say which."
            )
        start, total = int(match[1]), match[2]
        if start != asked or total not in ("*", str(remote.size)):
            raise Changed(
                f"The server sends the bytes {text!r} of {remote.wanted.file}, not {asked}-."
            )
        return start
    length = response.headers.get("Content-Length")
    if length is not None and length != str(remote.size):
        raise Changed(
            f"The server sends {length} bytes of {remote.wanted.file}, not {remote.size}."
        )
    return 0


def _remote(wanted: OnHub, found: Any) -> Remote:
    """What the Hub announces, once it is all there and can be trusted as names of files."""
    what = f"What the Hub says of {wanted}"
    if not COMMIT.fullmatch(found.commit_hash or ""):
        raise IntegrityError(f"{what} has no commit.")
    if not SHA256.fullmatch(found.etag or ""):
        raise IntegrityError(f"{what} has no SHA-256, so it could not be checked.")
    if not found.size or found.size < 0:
        raise IntegrityError(f"{what} has no size.")
    return Remote(wanted, found.commit_hash, found.etag, found.size, found.location)


def _listing(info: Any) -> Listing:
    """The list, without what is no model or would lead out of its folder."""
    if not REPO.fullmatch(info.id) or ".." in info.id:
        raise IntegrityError(f"The Hub speaks of a repository named {info.id!r}.")
    names = [one for one in info.siblings or () if one.rfilename.casefold().endswith(".gguf")]
    return Listing(info.id, tuple(_listed(one) for one in names if safe(one.rfilename)))


def _listed(sibling: Any) -> Listed:
    if sibling.lfs is None:
        return Listed(sibling.rfilename, sibling.size, None)
    return Listed(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port
