"""Adapters and local weights: merged into a module, and named by what they hold."""

import hashlib
import json
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.offline import offline, quiet


def merge_adapter(hf: Any, folder: Path, scale: float = 1.0) -> Any:
    """The module with a LoRA adapter of ``folder`` merged into its weights, its change of them times ``scale``.

    Raises WorkbenchError when the folder holds no adapter.
    """
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    if not (folder / "adapter_model.safetensors").is_file():
        raise WorkbenchError(f"no adapter in {folder}: expected adapter_model.safetensors; `workbench train` makes one")
    with offline(), quiet():
        tuned = PeftModel.from_pretrained(hf, str(folder))
        for module in tuned.modules():
            if isinstance(module, LoraLayer):
                module.scale_layer(scale)
        return tuned.merge_and_unload()


def adapter_revision(folder: Path) -> str:
    """A short hash of an adapter's weights."""
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()[:12]


def fingerprint(folder: Path) -> str:
    """A short hash that names the weights of a local folder: config, file sizes, and both ends of each weight file."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with open(path, "rb") as stream:
            digest.update(stream.read(1 << 20))
            stream.seek(max(size - (1 << 20), 0))
            digest.update(stream.read())
    return digest.hexdigest()[:12]
