"""The model downloads of the app."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...models import Store
    from ...models.hub import HubClient
    from .download import Download


class Downloads:
    """The downloads that run, are paused or have failed."""

    def __init__(self, store: Callable[[], Store], hub: HubClient | None = None) -> None:
        self._store = store
        self._hub = hub
        """The Hub to download from; None uses the Hub of the environment."""
        self._downloads: list[Download] = []

    def __iter__(self) -> Iterator[Download]:
        return iter(self._downloads)

    @property
    def running(self) -> bool:
        """Whether a download runs."""
        return any(download.running for download in self)

    def find(self, name: str) -> Download | None:
        """Return the download of a model, if there is one."""
        return next((download for download in self if download.name == name), None)

    def start(self, name: str) -> None:
        """Download a model, or resume its paused or failed download."""
        # The first download loads the download code, which the start of the app does not need.
        from .download import Download

        if (download := self.find(name)) is not None:
            download.resume()
        else:
            self._downloads.append(Download(name, self._store(), self._hub))

    def poll(self) -> list[Download]:
        """Update all downloads; return those that have ended, and forget them if they succeeded."""
        running = [download for download in self if download.running]
        ended = [download for download in running if download.poll() and download.done]
        self._downloads = [one for one in self if one not in ended or one.error is not None]
        return ended

    def cancel(self, name: str) -> None:
        """Stop the download of a model, and forget it."""
        if (download := self.find(name)) is not None:
            download.cancel()
            self._downloads.remove(download)

    def cancel_all(self) -> None:
        """Stop all downloads."""
        for download in list(self):
            self.cancel(download.name)

    @property
    def status_text(self) -> str:
        """The progress of all downloads."""
        return ", ".join(download.status_text for download in self)
