"""Which errors of the Hub are retried, and what the others say."""

from __future__ import annotations

import ssl
import urllib.error
from email.message import Message
from email.utils import formatdate
from time import time

import httpx2
import pytest

from xlam_local.errors import ModelMissing, XlamError
from xlam_local.models.hf_library import errors
from xlam_local.models.hub_errors import (
    MAX_RETRY_AFTER_S,
    RetryableError,
    api_errors,
    download_errors,
)

ENDPOINT = "https://user:password@hub.example"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("100000", MAX_RETRY_AFTER_S),
        ("soon", None),
        (formatdate(time() - 60), 0.0),
        (formatdate(time() + 100_000), MAX_RETRY_AFTER_S),
    ],
    # The dates depend on the time, and workers must collect the same names.
    ids=["none", "seconds", "too long", "no number", "past date", "future date"],
)
def test_the_retry_after_header_is_read(value: str | None, seconds: float | None) -> None:
    headers = Message()
    if value is not None:
        headers["Retry-After"] = value
    failure = urllib.error.HTTPError(ENDPOINT, 503, "Busy", headers, None)
    with pytest.raises(RetryableError) as caught, download_errors("a.gguf", ENDPOINT):
        raise failure
    assert caught.value.retry_after_s == seconds


def test_a_certificate_that_is_not_trusted_is_not_retried() -> None:
    untrusted = ssl.SSLCertVerificationError("self-signed certificate")
    message = r"certificate of hub\.example is not trusted"
    with pytest.raises(XlamError, match=message), download_errors("a.gguf", ENDPOINT):
        raise urllib.error.URLError(untrusted)
    with pytest.raises(XlamError, match=message), api_errors("a/b", None, ENDPOINT):
        raise httpx2.ConnectError("failed") from untrusted


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (httpx2.ConnectError("refused"), RetryableError, "hub.example cannot be reached"),
        (errors.HFValidationError("a//b"), ModelMissing, "not a valid repository name"),
        (KeyError("siblings"), XlamError, "did not answer as a Hugging Face Hub does"),
        (httpx2.InvalidURL("no"), XlamError, "HF_ENDPOINT is not a valid URL"),
    ],
)
def test_an_error_of_the_library_is_ours(
    error: Exception, kind: type[XlamError], message: str
) -> None:
    with pytest.raises(kind, match=message), api_errors("a/b", None, ENDPOINT):
        raise error


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (503, RetryableError, "The Hub answered 503"),
        (401, XlamError, "rejected the access token"),
        (418, XlamError, "The Hub answered 418 for a/b"),
    ],
)
def test_a_status_is_retried_or_explained(status: int, kind: type[XlamError], message: str) -> None:
    response = httpx2.Response(status, request=httpx2.Request("GET", ENDPOINT))
    with pytest.raises(kind, match=message), api_errors("a/b", None, ENDPOINT):
        raise errors.HfHubHTTPError("failed", response=response)
