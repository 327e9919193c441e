"""Errors of requests to the Hugging Face Hub, and which of them are worth a retry."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ..errors import ModelMissing, XlamError
from .hf_library import errors

RETRY_STATUS_CODES = (408, 425, 429, 500, 502, 503, 504)
MAX_RETRY_AFTER_S = 300.0
"""A longer wait that a server asks for is shortened to this."""


class HubUnreachable(XlamError):
    """The Hub does not answer."""


class RetryableError(XlamError):
    """A request failed, and can succeed if it is retried."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """How long the server asks to wait."""


class ContentMismatch(XlamError):
    """The server sends other bytes than the Hub announced."""


@contextmanager
def download_errors(file: str, url: str) -> Iterator[None]:
    """Turn the errors of a request for the bytes of a file into ours.

    Raises:
        RetryableError: the request failed.
        ContentMismatch: the file has no such bytes.
        XlamError: the server's certificate is not trusted.
    """
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise ContentMismatch(
                f"The server does not have the requested range of {file}."
            ) from error
        # An expired signed URL is answered with 401, 403 or 404; a retry gets a new one.
        message = f"The server answered {error.code} for {file}"
        raise RetryableError(message, _retry_after(error.headers)) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise _certificate_error(url) from error
        raise RetryableError(f"{_host(url)} cannot be reached") from error
    except (OSError, http.client.HTTPException) as error:
        raise RetryableError(f"The connection to {_host(url)} was lost") from error


@contextmanager
def api_errors(repo: str, file: str | None, endpoint: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into ours.

    Raises:
        HubUnreachable: the library is in offline mode.
        RetryableError: the request failed.
        ModelMissing: the repository or file does not exist, or the user has no access.
        XlamError: any other failure.
    """
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise HubUnreachable("HF_HUB_OFFLINE is set; the Hub was not contacted.") from error
    except errors.HFValidationError as error:
        raise ModelMissing(f"{repo!r} is not a valid repository name.") from error
    except errors.HfHubHTTPError as error:
        raise _response_error(error, repo, file, endpoint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise XlamError(f"{_host(endpoint)} did not answer as a Hugging Face Hub does.") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise XlamError(f"HF_ENDPOINT is not a valid URL: {endpoint}.") from error
    except httpx2.HTTPError as error:
        if isinstance(_root_cause(error), ssl.SSLCertVerificationError):
            raise _certificate_error(endpoint) from error
        raise RetryableError(f"{_host(endpoint)} cannot be reached") from error


def _response_error(error: Any, repo: str, file: str | None, endpoint: str) -> XlamError:
    """Return our error for an HTTP error status of the Hub."""
    match error:
        case errors.GatedRepoError():
            return ModelMissing(
                f"{repo} is a gated repository. Accept its terms at {endpoint}/{repo}, then set "
                "HF_TOKEN or run `hf auth login`."
            )
        case errors.RepositoryNotFoundError():
            return ModelMissing(
                f"There is no repository {repo} on the Hub, or it is private. For a private "
                "repository, set HF_TOKEN or run `hf auth login`."
            )
        case errors.RevisionNotFoundError():
            return ModelMissing(f"{repo} does not have this revision.")
        case errors.EntryNotFoundError():
            return ModelMissing(f"{repo} has no file {file}.")
    return _status_error(error.response, repo)


def _status_error(response: Any, repo: str) -> XlamError:
    """Return our error for an HTTP error status that the Hub does not explain."""
    status: int = response.status_code
    if status in RETRY_STATUS_CODES:
        return RetryableError(f"The Hub answered {status}", _retry_after(response.headers))
    if status in (401, 403):
        return XlamError(
            "The Hub rejected the access token. Set HF_TOKEN to a valid one or run `hf auth login`."
        )
    return XlamError(f"The Hub answered {status} for {repo}.")


def _retry_after(headers: Message | Any) -> float | None:
    """Return the seconds of a Retry-After header, which contains seconds or a date (RFC 9110)."""
    text = (headers or {}).get("Retry-After")
    if not text:
        return None
    try:
        seconds = (
            float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time()
        )
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _host(url: str) -> str:
    """Return the host of a URL, without a user name and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _certificate_error(url: str) -> XlamError:
    return XlamError(
        f"The certificate of {_host(url)} is not trusted. If your network has its own certificate "
        "authority, set SSL_CERT_FILE to its certificate."
    )


def _root_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
