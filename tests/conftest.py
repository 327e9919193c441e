from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.resources import fetch
from tests.fakes.tiny_models import VOCABULARIES, tiny_model, write_model
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--calls", type=int, default=1, help="Random calls for each toolset.")


def pytest_configure() -> None:
    """Give each of several test processes cores of its own, or one that few others share.

    Otherwise llama.cpp's threads of all processes wait for each other on all cores.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        number, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number::count] or [cores[number % len(cores)]])


@pytest.fixture(scope="session")
def calls_per_toolset(request: pytest.FixtureRequest) -> int:
    """How many replies with random calls are generated for each toolset."""
    count: int = request.config.getoption("--calls")
    return count


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test folders of its own, and no access to the user's."""
    home = tmp_path / "home"
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XLAM_LOCAL_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    return home


@pytest.fixture(scope="session", params=VOCABULARIES)
def tiny_path(request: pytest.FixtureRequest) -> Path:
    """A model of random weights, once with each whole vocabulary."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def qwen_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights with a small vocabulary, so that it loads fast."""
    path = tmp_path_factory.mktemp("models") / "xLAM-2-tiny.gguf"
    write_model(path, "qwen2", "xLAM-2-tiny")
    return path


@pytest.fixture(scope="session")
def small_path() -> Path:
    """A real small model."""
    return fetch("smollm2-135m")


@pytest.fixture(scope="session")
def small(small_path: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine.load(small_path, LoadOptions(context_size=2048))
    yield engine
    engine.close()
