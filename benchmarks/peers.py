"""nnsight, steering-vectors and repeng on the same cells, in an environment of their own.

The last two need older packages than this library (transformers below 5, numpy below 2). ``measured`` makes the environment
once, hands the merged weights and the cells over as files, and reads back seconds; run as a script inside that
environment, this file does the work.
"""

import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
HOME = ROOT / "build" / "peers"
PACKAGES = (
    f"torch=={torch.__version__.partition('+')[0]}",
    "transformers<5",
    "numpy<2",
    "nnsight==0.8.1",
    "steering-vectors==0.12.2",
    "repeng==0.4.0",
)


def measured(model, cells, new: int, dtype: str) -> dict[str, dict]:
    """``completions_per_second`` and ``tokens`` of each peer over cells of ``contenders``, one process per peer."""
    python = environment()
    with tempfile.TemporaryDirectory() as folder:
        model.hf.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        work = {"folder": folder, "new": new, "dtype": dtype, "stops": sorted(model.stop_ids)}
        work |= {"pad": model.tokenizer.pad_token_id, "cells": []}
        for cell in cells:
            ids, mask = model.encode(cell.prompts).padded()
            layer, added = cell.change
            added = added.expand(model.d_model).tolist()
            work["cells"].append({"ids": ids.tolist(), "mask": mask.tolist(), "layer": layer, "added": added})
        path = Path(folder) / "work.json"
        path.write_text(json.dumps(work))
        return {f"{name}_cell": _measure(python, name, path) for name in WAYS}


def _measure(python: Path, name: str, path: Path) -> dict:
    done = subprocess.run([python, __file__, name, path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def environment() -> Path:
    """The python of the peers' environment, made if there is none."""
    python, stamp = HOME / "bin" / "python", HOME / ".installed"
    if not stamp.exists():
        venv.create(HOME, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.touch()
    return python


def nnsight(model, tokenizer, work: dict):
    from nnsight import LanguageModel

    wrapped = LanguageModel(model, tokenizer=tokenizer)

    def run(cell: dict, ids: torch.Tensor, mask: torch.Tensor, new: int) -> torch.Tensor:
        added = torch.tensor(cell["added"], dtype=model.dtype)
        with wrapped.generate(**_options(work, new)) as tracer:
            with tracer.invoke({"input_ids": ids, "attention_mask": mask}):
                for _ in tracer.iter[:]:
                    layer = wrapped.model.layers[cell["layer"]]
                    layer.output = layer.output + added
            with tracer.invoke():  # what follows an open iteration in its own invoke never runs
                out = tracer.result.save()
        return out

    return run


def steering_vectors(model, tokenizer, work: dict):
    from steering_vectors import SteeringVector

    def run(cell: dict, ids: torch.Tensor, mask: torch.Tensor, new: int) -> torch.Tensor:
        added = torch.tensor(cell["added"], dtype=model.dtype)
        with SteeringVector({cell["layer"]: added}, "decoder_block").apply(model):
            return model.generate(input_ids=ids, attention_mask=mask, **_options(work, new))

    return run


def repeng(model, tokenizer, work: dict):
    import numpy as np
    from repeng import ControlModel, ControlVector

    def run(cell: dict, ids: torch.Tensor, mask: torch.Tensor, new: int) -> torch.Tensor:
        controlled = ControlModel(model, [cell["layer"]])
        vector = ControlVector("llama", {cell["layer"]: np.array(cell["added"], dtype=np.float32)})
        controlled.set_control(vector, 1.0)
        out = controlled.generate(input_ids=ids, attention_mask=mask, **_options(work, new))
        controlled.reset()
        controlled.unwrap()
        return out

    return run


WAYS = {"nnsight": nnsight, "steering_vectors": steering_vectors, "repeng": repeng}


def _options(work: dict, new: int) -> dict:
    return {
        "max_new_tokens": new,
        "do_sample": False,
        "eos_token_id": work["stops"],
        "pad_token_id": work["pad"],
    }


@torch.no_grad()
def main() -> None:
    """Completions per second of one peer, printed with what it wrote, so that a steering that does nothing would show."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    name, path = sys.argv[1:]
    work = json.loads(Path(path).read_text())
    model = AutoModelForCausalLM.from_pretrained(work["folder"], torch_dtype=getattr(torch, work["dtype"])).eval()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=f"{work['folder']}/tokenizer.json"
    )  # its config is of another version
    tokenizer.pad_token_id = work["pad"]
    run = WAYS[name](model, tokenizer, work)
    cells = [(cell, torch.tensor(cell["ids"]), torch.tensor(cell["mask"])) for cell in work["cells"]]
    run(*cells[0], 2)  # warm-up
    started = time.perf_counter()
    tokens = [row for cell in cells for row in run(*cell, work["new"])[:, cell[1].shape[1] :].tolist()]
    rate = len(tokens) / (time.perf_counter() - started)
    print(json.dumps({"completions_per_second": rate, "tokens": tokens}))


if __name__ == "__main__":
    main()
