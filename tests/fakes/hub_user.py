"""A user of the command line who can reach a fake Hub."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from tests.fakes.fake_hub import FakeHub
from xlam_local.cli import run_command


@dataclass(frozen=True, slots=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class HubUser:
    """Runs `xlam-local` with folders and a Hub of its own."""

    home: Path
    hub: FakeHub
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def hub_cache(self) -> Path:
        """The Hugging Face cache."""
        return self.home / "hf" / "hub"

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the folders and the Hub."""
        return {
            "HF_HOME": str(self.home / "hf"),
            "XLAM_LOCAL_HOME": str(self.home / "xlam"),
            "HF_ENDPOINT": self.hub.endpoint,
        }

    def environment(self) -> dict[str, str]:
        """Return the environment for a process."""
        return {**os.environ, **self.variables()}

    def run(self, *arguments: str, **variables: str) -> Done:
        """Run a command in this process, with more environment variables."""
        self.capsys.readouterr()
        with self.environment_set(**variables):
            code = run_command(list(arguments))
        out, err = self.capsys.readouterr()
        return Done(code, out, err)

    @contextmanager
    def environment_set(self, **variables: str) -> Iterator[None]:
        """Set the environment variables of the user, and more, for a block."""
        try:
            with self.monkeypatch.context() as patch:
                for name, value in {**self.variables(), **variables}.items():
                    patch.setenv(name, value)
                reread_environment()
                yield
        finally:
            reread_environment()


def reread_environment() -> None:
    """Let huggingface_hub read its variables again, which it does at import, and proxies too."""
    importlib.reload(constants)
    close_session()
