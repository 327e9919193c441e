"""What goes wrong between us and the Hub, in our own errors."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ModelMissing, XlamError

if TYPE_CHECKING:
    from email.message import Message

BUSY = (408, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT = 300.0
"""Seconds that a server may ask for at most."""


class Unreachable(XlamError):
    """The Hub cannot be asked."""


class Interrupted(XlamError):
    """A request came to nothing, and may come to something when it is made again."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds that the server asks to be left alone."""


class Changed(XlamError):
    """The server has another file than the one it announced."""


@contextmanager
def reading(file: str, location: str) -> Iterator[None]:
    """Turn what goes wrong with a request for bytes into our errors."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise Changed(f"The server has no such bytes of {file}.") from error
        # A signed address that has run out answers with 401, 403 or 404: asking again renews it.
        message = f"The server answered {error.code} for {file}"
        raise Interrupted(message, _wait(error.headers)) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise XlamError(_certificate(_host(location))) from error
        raise Interrupted(f"{_host(location)} cannot be reached") from error
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(f"{_host(location)} broke off") from error


@contextmanager
def asking(repo: str, file: str | None, endpoint: str) -> Iterator[None]:
    """Turn what the Hub's client raises into our errors."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable("HF_HUB_OFFLINE is set, so the Hub is not asked.") from error
    except errors.HFValidationError as error:
        raise ModelMissing(f"{repo!r} cannot be the name of a repository.") from error
    except errors.HfHubHTTPError as error:
        raise _refusal(error, repo, file, endpoint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise XlamError(f"What {_host(endpoint)} answers is not what a Hub answers.") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise XlamError(f"{endpoint} is no web address; look at HF_ENDPOINT.") from error
    except httpx2.HTTPError as error:
        if isinstance(_root(error), ssl.SSLCertVerificationError):
            raise XlamError(_certificate(_host(endpoint))) from error
        raise Interrupted(f"{_host(endpoint)} cannot be reached") from error


def _refusal(error: Any, repo: str, file: str | None, endpoint: str) -> XlamError:
    """Why the Hub says no."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        message = (
            f"{repo} is open only to those who accept its terms at {endpoint}/{repo}; do so, and "
            "set HF_TOKEN or run `hf auth login`."
        )
    elif isinstance(error, errors.RepositoryNotFoundError):
        message = (
            f"The Hub has no repository {repo}, or it is private; for a private one set HF_TOKEN "
            "or run `hf auth login`."
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        message = f"{repo} has no such revision."
    elif isinstance(error, errors.EntryNotFoundError):
        message = f"{repo} has no file {file}."
    else:
        return _failure(error.response, repo)
    return ModelMissing(message)


def _failure(response: Any, repo: str) -> XlamError:
    """What an answer means that speaks of neither repository nor file."""
    if response.status_code in BUSY:
        return Interrupted(f"The Hub answered {response.status_code}", _wait(response.headers))
    if response.status_code in (401, 403):
        return XlamError("The Hub refuses this token; set HF_TOKEN anew or run `hf auth login`.")
    return XlamError(f"The Hub answered {response.status_code} for {repo}.")


def _wait(headers: Message | Any) -> float | None:
    """The seconds of a Retry-After header, which counts them or names a time."""
    text = (headers or {}).get("Retry-After")
    if not text:
        return None
    try:
        seconds = (
            float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time()
        )
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _certificate(host: str) -> str:
    return (
        f"The certificate of {host} cannot be trusted; if it is your network's own, let "
        "SSL_CERT_FILE point to it."
    )


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
