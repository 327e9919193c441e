"""Test tools with recorded decisions of a model: the tools run, no model is needed.

Add `pytest_plugins = ["xlam_local.testing"]` to conftest.py. `pytest --xlam-record` writes the
recordings with the user's model, `pytest` replays them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .agent import Engine
from .agent.recording import RecordingEngine, ReplayEngine
from .errors import UsageError
from .model_loading import load_model

RECORDINGS_FOLDER = "recordings"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that record."""
    group = parser.getgroup("xlam-local")
    group.addoption(
        "--xlam-record", action="store_true", help="Record what the model decides in each test."
    )
    group.addoption("--xlam-model", help="The model to record with; default: the user's.")


@pytest.fixture
def xlam_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return an engine for a Session, with the recording of this test.

    The recording is `recordings/FILE.TEST.jsonl` beside the test's file.
    """
    path = recording_path(request)
    if not request.config.getoption("--xlam-record"):
        if not path.exists():
            raise UsageError(f"There is no recording {path}; run `pytest --xlam-record`.")
        yield ReplayEngine(path)
        return
    path.parent.mkdir(exist_ok=True)
    engine = load_model(request.config.getoption("--xlam-model"))
    try:
        yield RecordingEngine(engine, path)
    finally:
        engine.close()


def recording_path(request: pytest.FixtureRequest) -> Path:
    """Return the file with the recording of a test."""
    name = "".join(one if one.isalnum() or one in "-_" else "_" for one in request.node.name)
    folder = request.path.parent / RECORDINGS_FOLDER
    return folder / f"{request.path.stem}.{name}.jsonl"
