from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from xlam_local.engine import Settings
from xlam_local.engine.local import Engine

from .resources import get
from .tiny import VOCABULARIES, tiny


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--calls", type=int, default=1, help="Random calls for each set of tools.")


@pytest.fixture(scope="session")
def each(request: pytest.FixtureRequest) -> int:
    """How many random calls are written for each set of tools."""
    count: int = request.config.getoption("--calls")
    return count


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has folders of its own, and reaches no other."""
    home = tmp_path / "home"
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XLAM_LOCAL_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    return home


@pytest.fixture(scope="session", params=VOCABULARIES)
def tiny_path(request: pytest.FixtureRequest) -> Path:
    """A model of random weights, once with each vocabulary."""
    return tiny(request.param)


@pytest.fixture(scope="session")
def qwen_path() -> Path:
    return tiny("qwen2")


@pytest.fixture(scope="session")
def small_path() -> Path:
    """A real small model."""
    return get("smollm2-135m")


@pytest.fixture(scope="session")
def small(small_path: Path) -> Iterator[Engine]:
    engine = Engine.load(small_path, Settings(context=2048))
    yield engine
    engine.close()
