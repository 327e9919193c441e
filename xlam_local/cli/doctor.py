"""What stands in the way on this machine, and what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from .. import config, machine
from ..fit import GIB, Machine, gib
from ..machine import ROOT, Backend
from ..models import Store, amount
from ..sanitize import printable

State = Literal["fine", "note", "wrong"]
COLOURS = {"fine": "green", "note": "yellow", "wrong": "red"}
WHEELS = "https://abetlen.github.io/llama-cpp-python/whl"
"""Where llama-cpp-python's author keeps what is compiled already."""
HOT = 80.0
"""Degrees from which on a Pi slows down."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    said: str
    mend: str = ""
    """The command that mends it."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the checks look at."""

    here: Machine
    backends: Sequence[Backend]
    store: Store
    folders: config.Folders
    root: Path = ROOT
    system: str = sys.platform


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def doctor(as_json: bool) -> int:
    """Look over this machine: each finding is fine or says what mends it."""
    from .models import write_json

    case = here()
    findings = [finding for check in CHECKS for finding in check(case)]
    if as_json:
        found = [asdict(finding) for finding in findings]
        write_json({"machine": dict(machine.as_json(case.here)), "findings": found})
    else:
        for finding in findings:
            show(finding)
    return int(any(finding.state == "wrong" for finding in findings))


def here() -> Case:
    """This machine and this user."""
    folders = config.folders()
    backends = machine.backends()
    store = Store.under(folders.config, folders.data)
    return Case(machine.measure(backends), backends, store, folders)


def show(finding: Finding) -> None:
    """Write a finding as a line, and what mends it as another."""
    state = click.style(f"{finding.state:<6}", fg=COLOURS[finding.state])
    click.echo(f"{state} {finding.what}: {printable(finding.said)}")
    if finding.mend:
        click.echo(f"       {printable(finding.mend)}")


def python(case: Case) -> Iterator[Finding]:
    """Say which Python this is."""
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if case.system == "darwin" and platform.machine() == "x86_64" and case.here.devices:
        yield Finding("Python", "wrong", f"{said}, for another processor than this Mac's", "")
    else:
        yield Finding("Python", "fine", said)


def llama(case: Case) -> Iterator[Finding]:
    """Say what the installed llama.cpp can compute with."""
    import importlib.metadata

    try:
        version = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        yield Finding("llama.cpp", "wrong", "is not installed", "pip install llama-cpp-python")
        return
    if not case.backends:
        said = f"llama-cpp-python {version} is installed, and its libraries cannot be loaded"
        yield Finding("llama.cpp", "wrong", said, _reinstall(version, ""))
        return
    kinds = ", ".join(f"{one.name} ({one.description})" for one in case.backends)
    yield Finding("llama.cpp", "fine", f"llama-cpp-python {version}, computes with {kinds}")
    if not case.here.devices:
        yield from _idle_gpu(case, version)


def _idle_gpu(case: Case, version: str) -> Iterator[Finding]:
    """Say whether there is a GPU that this llama.cpp was not built for."""
    said = "there is one, and llama.cpp was built without it"
    if machine.nvidia(case.root):
        yield Finding("NVIDIA GPU", "wrong", said, _reinstall(version, "cu124"))
    elif machine.amd(case.root):
        vulkan = 'CMAKE_ARGS="-DGGML_VULKAN=on" '
        mend = f"{vulkan}pip install --force-reinstall --no-deps llama-cpp-python=={version}"
        yield Finding("AMD GPU", "wrong", said, mend)
    elif case.system == "darwin" and platform.machine() == "arm64":
        yield Finding("Apple GPU", "wrong", said, _reinstall(version, "metal"))
    else:
        yield Finding("GPU", "note", "none that llama.cpp can use; the CPU does the work")


def _reinstall(version: str, kind: str) -> str:
    return (
        f"pip install --force-reinstall --no-deps llama-cpp-python=={version} "
        f"--only-binary llama-cpp-python --extra-index-url {WHEELS}/{kind or 'cpu'}"
    )


def memory(case: Case) -> Iterator[Finding]:
    """Say how much memory a model can have."""
    mine = case.here
    said = f"{gib(mine.memory)}, of which {gib(mine.available)} are free; {mine.cores} cores"
    if mine.room < 1.5 * GIB:
        yield Finding("Memory", "wrong", f"{said}. Close something, or no model will fit")
    else:
        yield Finding("Memory", "fine", said)
    for device in mine.devices:
        said = f"{device.name}, {gib(device.memory)}, of which {gib(device.free)} are free"
        yield Finding("GPU", "fine", said)


def disk(case: Case) -> Iterator[Finding]:
    """Say whether there is room for a model."""
    place = _existing(case.store.hub)
    free = shutil.disk_usage(place).free
    said = f"{amount(free)} free for models in {case.store.hub}"
    if free < 2e9:
        yield Finding("Disk", "wrong", said, "xlam-local models prune")
    else:
        yield Finding("Disk", "fine", said)


def folders(case: Case) -> Iterator[Finding]:
    """Say whether the folders that are written to can be."""
    kept = case.folders
    for path in (kept.config, kept.data, kept.cache, kept.state, case.store.hub):
        place = _existing(path)
        if os.access(place, os.W_OK | os.X_OK):
            continue
        yield Finding("Folder", "wrong", f"{place} cannot be written to", f"chmod u+rwx {place}")
        return
    yield Finding("Folders", "fine", f"{kept.config}, {kept.data}, {kept.cache}, {kept.state}")


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def hub(case: Case) -> Iterator[Finding]:
    """Say whether models can be fetched."""
    from ..errors import XlamError
    from ..models.hub import Hub

    client = Hub.here(timeout=5.0)
    try:
        client.listing("Salesforce/xLAM-2-1b-fc-r-gguf")
    except XlamError as error:
        said = f"{str(error).rstrip('.')}. Models that are here still run"
        yield Finding("Hub", "note", said, "xlam-local models import FILE.gguf")
    else:
        token = "with a token" if client.token else "without a token, which xLAM needs none of"
        yield Finding("Hub", "fine", f"{client.endpoint} answers, {token}")


def models(case: Case) -> Iterator[Finding]:
    """Say which models are here, and what broken fetches left."""
    from ..models import installed, removal

    found = installed(case.store)
    for model in found:
        if not model.whole:
            mend = f"xlam-local models pull {model.name}"
            yield Finding("Model", "wrong", f"{model.name} lacks parts", mend)
    if not found:
        yield Finding("Models", "note", "none is installed", "xlam-local models pick")
    else:
        size = sum(model.size for model in found)
        yield Finding("Models", "fine", f"{len(found)} installed, {amount(size)}")
    if left := removal.leftovers(case.store):
        said = f"{amount(sum(one.size for one in left))} are left of broken fetches"
        yield Finding("Leftovers", "note", said, "xlam-local models prune")


def pi(case: Case) -> Iterator[Finding]:
    """Say how a Raspberry Pi is doing."""
    if machine.throttled(case.root) is None and "Raspberry" not in case.here.name:
        return
    degrees = machine.temperature(case.root)
    said = case.here.name + ("" if degrees is None else f", {degrees:.0f} °C")
    if wrong := machine.slowed(case.root):
        mend = "Use a 5 V supply made for it, and a fan."
        yield Finding("Pi", "wrong", f"{said}: {' and '.join(wrong)}", mend)
    elif degrees is not None and degrees >= HOT:
        yield Finding("Pi", "wrong", f"{said}: it is about to slow down", "Give it a fan.")
    else:
        yield Finding("Pi", "fine", said)


def apple(case: Case) -> Iterator[Finding]:
    """Say how much of a Mac's memory its GPU may take."""
    if case.system != "darwin" or not case.here.devices:
        return
    total, limit = case.here.memory, case.here.devices[0].memory
    said = f"it may take {gib(limit)} of {gib(total)}"
    most = round((total - max(4 * GIB, total // 8)) / (1 << 20))
    if total >= 16 * GIB and limit < 0.7 * total:
        mend = f"sudo sysctl iogpu.wired_limit_mb={most}"
        yield Finding("GPU memory", "note", f"{said}; more can be allowed until a restart", mend)
    else:
        yield Finding("GPU memory", "fine", said)


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    python,
    llama,
    memory,
    apple,
    pi,
    disk,
    folders,
    models,
    hub,
)
