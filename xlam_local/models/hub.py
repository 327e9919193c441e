"""A client of the Hugging Face Hub: file lists, metadata, and the bytes of a file from an offset.

huggingface_hub restarts an interrupted download from zero, so the bytes are requested here.
"""

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

import httpx2

from ..errors import IntegrityError
from .hf_library import HfApi, constants, get_hf_file_metadata, get_token, hf_hub_url
from .hub_errors import ContentMismatch, api_errors, download_errors
from .model_names import REPO_ID, HubFile, is_safe_path

SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_S = 30.0
"""The longest wait for a connection or for the next bytes."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """The metadata of a file on the Hub."""

    hub_file: HubFile
    commit: str
    sha256: str
    size: int
    """Bytes."""
    url: str = ""
    """The address of its content; it can be signed and expire."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file in the list of a repository."""

    file: str
    size: int | None
    """Bytes."""
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RepoListing:
    """The GGUF files of a repository."""

    repo: str
    """The repository's name in its original case."""
    files: tuple[ListedFile, ...]


class RangeBody:
    """The body of a response, from the byte `start` of the file."""

    def __init__(self, remote: RemoteFile, start: int, response: http.client.HTTPResponse) -> None:
        self.remote = remote
        self.start = start
        self._response = response
        self._remaining = response.length
        """Bytes that are still to come; None if the server did not send a length."""

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes into a buffer and return how many; 0 at the end.

        Raises:
            RetryableError: the connection was lost.
        """
        with download_errors(self.remote.hub_file.file, self.remote.url):
            if self._remaining is None:
                return self._response.readinto1(buffer)
            # HTTPResponse.readinto1 copies the bytes; the stream below writes into the buffer.
            count: int = self._response.fp.readinto1(buffer[: self._remaining])
            self._remaining -= count
            return count


class HubClient:
    """A client of a Hub, with or without an access token."""

    def __init__(
        self, endpoint: str, token: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.token = token
        self.timeout_s = timeout_s
        self._opener: urllib.request.OpenerDirector | None = None

    @classmethod
    def from_environment(cls, timeout_s: float = TIMEOUT_S) -> HubClient:
        """Return a client with the user's token, for the Hub of HF_ENDPOINT or huggingface.co."""
        return cls(constants.ENDPOINT, get_token(), timeout_s)

    def list_files(self, repo: str, revision: str = "main") -> RepoListing:
        """Return the GGUF files of a repository.

        Raises:
            RetryableError: the request failed.
            XlamError: see `hub_errors.api_errors`.
        """
        with api_errors(repo, None, self.endpoint):
            api = HfApi(endpoint=self.endpoint, token=self.token or False)
            info = api.model_info(
                repo, revision=revision, files_metadata=True, timeout=self.timeout_s
            )
            return _to_listing(info)

    def file_metadata(self, hub_file: HubFile) -> RemoteFile:
        """Return the metadata of a file.

        Raises:
            RetryableError: the request failed.
            IntegrityError: the metadata lacks the checksum, the size or the commit.
            XlamError: see `hub_errors.api_errors`.
        """
        repo, revision = hub_file.repo, hub_file.revision
        with api_errors(repo, hub_file.file, self.endpoint):
            url = hf_hub_url(repo, hub_file.file, revision=revision, endpoint=self.endpoint)
            metadata = get_hf_file_metadata(
                url, token=self.token or False, timeout=self.timeout_s, endpoint=self.endpoint
            )
        return _to_remote_file(hub_file, metadata)

    @contextmanager
    def open_range(self, remote: RemoteFile, start: int) -> Iterator[RangeBody]:
        """Request the bytes of a file from `start`; a server without ranges sends them from 0.

        Raises:
            RetryableError: the request failed.
            ContentMismatch: the response is not of the announced file.
        """
        request = urllib.request.Request(remote.url, headers=_headers(start))
        if self.token and _origin(remote.url) == _origin(self.endpoint):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        with download_errors(remote.hub_file.file, remote.url):
            response = self._open(request)
        with response:
            yield RangeBody(remote, _response_start(response, start, remote), response)

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        if urlsplit(request.full_url).scheme not in ("http", "https"):
            raise IntegrityError(
                f"The Hub redirects to {request.full_url!r}, which is not a web address."
            )
        self._opener = self._opener or _http_opener()
        response: http.client.HTTPResponse = self._opener.open(request, timeout=self.timeout_s)
        return response


def _http_opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP only, with the proxies and certificates that huggingface_hub uses.

    urllib reads into an existing buffer, which is several times faster than httpx's new chunks.
    """
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


def _response_start(response: http.client.HTTPResponse, requested: int, remote: RemoteFile) -> int:
    """Return the offset of the response in the file.

    Raises:
        ContentMismatch: the response is not of the announced file.
    """
    file = remote.hub_file.file
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ContentMismatch(f"The server sends {file} in an encoding that was not requested.")
    if response.status == http.client.PARTIAL_CONTENT:
        text = response.headers.get("Content-Range", "")
        if not (match := re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text)):
            raise ContentMismatch(f"The server sends a part of {file} without a Content-Range.")
        start, total = int(match[1]), match[2]
        if start != requested or total not in ("*", str(remote.size)):
            raise ContentMismatch(
                f"The server sends the range {text!r} of {file}, not bytes {requested}- of "
                f"{remote.size}."
            )
        return start
    length = response.headers.get("Content-Length")
    if length is not None and length != str(remote.size):
        raise ContentMismatch(f"The server sends {length} bytes of {file}, not {remote.size}.")
    return 0


def _to_remote_file(hub_file: HubFile, metadata: Any) -> RemoteFile:
    """Validate the metadata: the commit and the checksum become names of files."""
    if not COMMIT.fullmatch(metadata.commit_hash or ""):
        raise IntegrityError(f"The Hub's metadata of {hub_file} has no commit.")
    if not SHA256.fullmatch(metadata.etag or ""):
        raise IntegrityError(
            f"The Hub's metadata of {hub_file} has no SHA-256, so the file could not be verified."
        )
    if not metadata.size or metadata.size < 0:
        raise IntegrityError(f"The Hub's metadata of {hub_file} has no size.")
    return RemoteFile(
        hub_file, metadata.commit_hash, metadata.etag, metadata.size, metadata.location
    )


def _to_listing(info: Any) -> RepoListing:
    """Return the GGUF files of a repository, without those whose path is not safe."""
    if not REPO_ID.fullmatch(info.id) or ".." in info.id:
        raise IntegrityError(f"The Hub answered with the repository name {info.id!r}.")
    files = [one for one in info.siblings or () if one.rfilename.casefold().endswith(".gguf")]
    return RepoListing(
        info.id, tuple(_to_listed_file(file) for file in files if is_safe_path(file.rfilename))
    )


def _to_listed_file(sibling: Any) -> ListedFile:
    if sibling.lfs is None:
        return ListedFile(sibling.rfilename, sibling.size, None)
    return ListedFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port
