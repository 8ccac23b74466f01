"""What lies around a direction: singular values, other directions, features of a sparse autoencoder, tokens that activate it."""

import heapq
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from workbench._errors import WorkbenchError
from workbench._errors.progress import Bar
from workbench.activations.collect import READ, contrast
from workbench.generation.recorder import token_labels
from workbench.generation.steer_hooks import alone, check_direction, check_model, check_sizes
from workbench.mechanism.token_alignment import matched
from workbench.models.hooks import reading
from workbench.models.model import Encoded, Model
from workbench.models.prompts import Pairs
from workbench.steering.directions import Direction, Directions
from workbench.steering.positions import Positions
from workbench.steering.sites import Site

if TYPE_CHECKING:
    import pandas as pd


def spectrum(
    model: Model, pairs: Pairs, d: Direction, read: Positions | str = READ, batch_size: int = 32
) -> "pd.DataFrame":
    """Singular values of the paired differences around a direction: is there one direction, or a space of several?

    Log 003 took the number of singular values of its differences as the rank of refusal. But any n differences have n
    singular values. As a control, the same is computed for differences within the negative side, where nothing is
    contrasted.

    Args:
        model, read, batch_size: as for ``wb.extract``.
        pairs: a contrast set with matched prompts. Their activations are read at the site of the direction.
        d: the direction to compare the singular vectors with.

    Returns:
        A DataFrame, one row per singular value, in falling order: rank (from 1), value, share (of the sum of
            squares), cosine (absolute value, of its vector with the direction), control (the value within the
            negative side).

    Raises:
        WorkbenchError: as ``wb.contrast``, or fewer than two pairs.

    >>> table = spectrum(model, tiny_pairs, wb.extract(model, tiny_pairs, at=wb.resid_post(1)))
    >>> len(table), round(float(table["share"].sum()), 6)
    (3, 1.0)
    """
    import pandas as pd

    check_model(model)
    check_direction(d, d.site, model)
    names, ours, theirs = matched(pairs)
    if len(names) < 2:
        raise WorkbenchError(f"{pairs.name} has one pair; singular values want two at least")
    both = contrast(model, Pairs(ours, theirs, name=pairs.name), d.site, read, batch_size)[d.site]
    differences = both.positive - both.negative
    within = both.negative - both.negative.roll(1, 0)
    _, values, vectors = torch.linalg.svd(differences, full_matrices=False)
    unit = d.vector.double() / d.norm
    return pd.DataFrame(
        {
            "rank": range(1, len(values) + 1),
            "value": values.numpy(),
            "share": (values**2 / (values**2).sum()).numpy(),
            "cosine": (vectors @ unit).abs().numpy(),
            "control": torch.linalg.svdvals(within).numpy(),
        }
    )


def cosines(directions: Mapping[str, Direction | Directions]) -> "pd.DataFrame":
    """The cosine of every direction with every other, as a matrix.

    Directions at different layers are compared as vectors of the same residual stream. Two random directions of width
    w have a cosine of about ±1/√w.

    Args:
        directions: by name; Directions count as one each, e.g. ``name 12`` for layer 12.

    Returns:
        A square DataFrame, names in rows and columns.

    Raises:
        WorkbenchError: no directions, or widths that differ.

    >>> ds = wb.extract(model, tiny_pairs, at=wb.resid_post.all)
    >>> float(cosines({"mean_diff": ds, "first": ds[0]}).loc["first", "mean_diff 0"])
    1.0
    """
    import pandas as pd

    flat: dict[str, Direction] = {}
    for name, given in directions.items():
        flat |= {f"{name} {d.site.layer}": d for d in given} if isinstance(given, Directions) else {name: given}
    if not flat:
        raise WorkbenchError("cosines({}) has no directions; expected e.g. {'probe': d, 'mean': e}")
    table = [[one.cosine(other) for other in flat.values()] for one in flat.values()]
    return pd.DataFrame(table, index=list(flat), columns=list(flat))


def sae_directions(
    path: str | Path, features: Sequence[int], model: Model, site: Site | None = None
) -> tuple[Direction, ...]:
    """Features of a sparse autoencoder as directions: the rows of its decoder, from a local folder as sae-lens writes it.

    Nothing is downloaded and no code is run. Two files are read: ``sae_weights.safetensors`` (``W_dec``, [feature,
        d_model]) and ``cfg.json``.

    Args:
        path: the folder.
        features: indices of the features, in the order you want.
        model: the model that the directions are for.
        site: where; by default the hook that ``cfg.json`` names.

    Raises:
        WorkbenchError: files that are missing or in another format, a feature that does not exist, a hook that is not one of our sites, or
            another width.

    >>> from safetensors.torch import save_file
    >>> _ = save_file({"W_dec": torch.eye(model.d_model)[:4].contiguous()}, folder / "sae_weights.safetensors")
    >>> _ = (folder / "cfg.json").write_text('{"hook_name": "blocks.1.hook_resid_post"}')
    >>> sae_directions(folder, [2], model)[0].method
    'sae(2)'
    """
    from safetensors import SafetensorError, safe_open

    check_model(model)
    folder = Path(path)
    try:
        with safe_open(str(folder / "sae_weights.safetensors"), framework="pt") as file:
            names = list(file.keys())
            if "W_dec" not in names:
                raise WorkbenchError(f"{folder}: sae_weights.safetensors holds {', '.join(names)}; expected W_dec")
            decoder = file.get_tensor("W_dec")
        config = json.loads((folder / "cfg.json").read_text()) if site is None else {}
    except (OSError, SafetensorError, ValueError) as error:
        if isinstance(error, WorkbenchError):
            raise
        raise WorkbenchError(
            f"{folder}: expected sae_weights.safetensors and cfg.json, as sae-lens writes them ({error})"
        ) from error
    if decoder.ndim != 2 or decoder.shape[1] != model.d_model:
        raise WorkbenchError(
            f"{folder}: W_dec has shape {tuple(decoder.shape)}; {model.name} has width {model.d_model}"
        )
    if site is None:
        inner = config.get("metadata")
        name = config.get("hook_name") or (inner.get("hook_name") if isinstance(inner, dict) else None)
        if not name:
            raise WorkbenchError(f"{folder}: cfg.json names no hook (hook_name); give site=, e.g. wb.resid_post(12)")
        site = Site.parse(name)
    for feature in features:
        if isinstance(feature, bool) or not isinstance(feature, int) or not 0 <= feature < len(decoder):
            raise WorkbenchError(f"feature {feature!r}: {folder} has features 0 to {len(decoder) - 1}")
    revision = model.revision
    made = tuple(Direction(decoder[i], site, model.name, revision, f"sae({i})") for i in features)
    for direction in made:
        check_direction(direction, site, model)
    return made


def top_tokens(
    model: Model, texts: str | Path | Sequence[str], d: Direction, k: int = 20, around: int = 6, batch_size: int = 16
) -> "pd.DataFrame":
    """The tokens of a text file with the largest projection on a direction, with the words around each.

    Args:
        model: its plain module runs, unsteered.
        texts: a text file, one text a line, or a list of texts. They are plain text after the BOS (if the model has
            one), without a chat template. Texts beyond the context are cut.
        d: the direction, at its site; its unit vector is used.
        k: how many tokens.
        around: tokens of the span before and after each.

    Returns:
        A DataFrame, one row per token in falling order: value, text (number of the line, from 0), position (in the line's tokens), token,
        span. The first token of a text is left out: it is an attention sink.

    Raises:
        WorkbenchError: a file that is not there, no texts, or a direction that does not fit.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(1))
    >>> top_tokens(model, ["how do i bake bread", "tell me about the river"], d, k=3)["value"].is_monotonic_decreasing
    True
    """
    import pandas as pd

    check_model(model)
    check_direction(d, d.site, model)
    check_sizes(k=k, batch_size=batch_size)
    if not isinstance(around, int) or isinstance(around, bool) or around < 0:
        raise WorkbenchError(f"around={around!r:.60}: expected a whole number of tokens, at least 0")
    chats = _plain(model, texts)
    unit = (d.vector.double() / d.norm).to(model.device)
    best: list[tuple[float, int, int]] = []
    order = np.argsort(chats.lengths, kind="stable").tolist()
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for batch in Bar(batches, desc="texts", unit="batch", leave=False, disable=len(batches) < 4):
        ids, mask = chats.padded(batch, model.device)
        seen: list[Tensor] = []
        with alone(model), torch.no_grad(), reading(model.hf, d.site, partial(_keep, seen, unit)):
            model.hf(
                input_ids=ids,
                attention_mask=mask,
                position_ids=chats.positions(mask),
                use_cache=False,
                logits_to_keep=1,
            )
        for i, row in enumerate(batch):
            values = seen[0][i, ids.shape[1] - chats.lengths[row] :]
            values[0] = -torch.inf
            top = values.topk(min(k, len(values) - 1))
            best = heapq.nlargest(
                k, [*best, *((v, row, p) for v, p in zip(top.values.tolist(), top.indices.tolist(), strict=True))]
            )
    lines = []
    for value, row, position in best:
        words = token_labels(model.tokenizer, chats.token_ids[row])
        tokens = chats.token_ids[row][max(1, position - around) : position + around + 1]
        lines.append((value, row, position, words[position], model.tokenizer.decode(tokens)))
    return pd.DataFrame(lines, columns=["value", "text", "position", "token", "span"])


def _keep(seen: list[Tensor], unit: Tensor, x: Tensor) -> None:
    seen.append((x.double() @ unit.to(x.device)).cpu())


def _plain(model: Model, texts: str | Path | Sequence[str]) -> Encoded:
    if isinstance(texts, str | Path):
        try:
            lines: Sequence[Any] = Path(texts).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WorkbenchError(f"{str(texts)[:80]}: expected a text file, one text a line ({error})") from error
    else:
        lines = texts
    start = [] if model.tokenizer.bos_token_id is None else [model.tokenizer.bos_token_id]
    encode = partial(model.tokenizer.encode, add_special_tokens=False)
    kept = [(str(line), (*start, *encode(str(line)))[: model.context]) for line in lines if str(line).strip()]
    kept = [(line, ids) for line, ids in kept if len(ids) > 1]
    if not kept:
        raise WorkbenchError("texts: no text of two tokens or more; expected one a line")
    return Encoded(tuple(line for line, _ in kept), tuple(ids for _, ids in kept), model.tokenizer.pad_token_id)
