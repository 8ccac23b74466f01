"""Many conditions at once: a sweep of prompts over arms, generated, stored and scored.

Rows of all arms are packed into common batches; identical conditions are computed once; what is finished is stored as it
comes, so that running again, or after an interruption, computes only what is missing.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench._errors import WorkbenchError, check_flag, unknown
from workbench._errors.redaction import logger
from workbench._files import content_key
from workbench.generation.decoding import Sampling
from workbench.generation.steer_hooks import check_all, check_covered, check_model, check_positions, check_sizes
from workbench.generation.store import Store, check_place
from workbench.generation.vllm_engine import VLLM, choose_engine, import_vllm
from workbench.generation.vllm_limits import refuse
from workbench.models.identity import known_revision
from workbench.models.model import Model
from workbench.models.prompts import Pairs, Prompts
from workbench.scoring.labels import LABELS, thought_opened
from workbench.scoring.scores import Scorer
from workbench.steering.arms import Arm, as_arms
from workbench.steering.steer import number
from workbench.sweeps.cluster import Ray, choose_cluster
from workbench.sweeps.rows import (
    Decoding,
    Job,
    Stream,
    generate_missing,
    named_sets,
    read_margins,
    screen_out,
    stream_rows,
    sweep_rows,
)

if TYPE_CHECKING:
    import pandas as pd

log = logger(__name__)


def sweep(
    model: Model,
    prompts: Pairs | Prompts | Sequence[str] | Mapping[str, Prompts],
    arms: Sequence[Arm],
    scores: Sequence[Scorer],
    store: str | Path = "runs/store",
    max_new_tokens: int = 48,
    batch_size: int = 256,
    show_text: bool = False,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    stop: str = "end",
    screen: str | None = None,
    screen_least: float = 0.5,
    on: str | Ray = "local",
    engine: str | VLLM | None = None,
) -> "pd.DataFrame":
    """Generate, store and score a response to every prompt under every arm.

    Args:
        model: the model.
        prompts: a contrast set (its sides are called positive, negative and borderline), prompts, or named sets of them.
        arms: as ``grid`` makes them.
        scores: e.g. ``[wb.refusal, wb.coherence]``; values are kept in the store by name and version, so a new
            version of a score generates nothing. Some scores need a forward pass over the responses. If no score
            depends on the response, e.g. ``[wb.multiple_choice]``, nothing is generated: the rows have finish "not
            written" and no tokens.
        store: folder of the store.
        max_new_tokens: at most this many tokens per response.
        batch_size: the most rows per batch; fewer if memory would run out.
        show_text: add the text of the responses. Off by default: an answer to a harmful request is counted, not shown.
        temperature, top_p, seed: as for ``generate``; greedy by default.
        stop: "verdict" ends a row when every score is decided. Such rows have finish "verdict". What would come after
            their last token, e.g. a later collapse, is unknown. "end" generates every row to its end.
        screen: "margin" first computes the refusal margin of every row, in one forward pass, and generates only for
            arms that shift the mean margin of a set by ``screen_least`` nats. The rows of the others have finish
            "screened", no value, and no tokens; all rows have a column ``margin``.
        screen_least: see ``screen``.
        on: "local", this process; "ray", or a ``Ray``, for workers that each hold the model and generate responses
            (see docs/cluster.md). Screening and scores are computed in this process.
        engine: "workbench"; "vllm", or a ``VLLM``, which generates what the loaded model would (see docs/engines.md).
            The default is the engine of the model, which is "workbench" unless notebook options set another.

    Returns:
        A long DataFrame, one row per prompt × arm × score: set, prompt, base, category, arm, kind, layer, ratio,
        seed, dose (total), doses (JSON: dose per site), score, version (of the score), value, reason (why there is no
        value), tokens, finish, model, revision, decoding, key. A row whose logits became NaN has finish "failed" and
        no value; a warning names its arm and dose.

    Raises:
        WorkbenchError: no arms or scores, two arms with the same name, two prompts of a set with the same id, an
            unknown ``stop`` or ``screen``, a score that is decided only at the end with ``stop="verdict"``, a Steer
            that does not fit the model, sizes below 1, an unknown place to run on or one without room for a worker,
            or an engine that is not installed or cannot do what is asked; before anything is generated. Also if
            workers keep dying.

    >>> arms = wb.grid(wb.extract(model, tiny_pairs, at=wb.resid_post(1)), ratios=[-0.3, 0, 0.3])
    >>> rows = sweep(model, tiny_pairs, arms, [wb.refusal, wb.coherence], store=folder, max_new_tokens=8)
    >>> len(rows), len(tiny_pairs.positive) * 2 * len(arms) * 2  # prompts of both sides × arms × scores
    (36, 36)
    >>> again = sweep(model, tiny_pairs, arms, [wb.refusal, wb.coherence], store=folder, max_new_tokens=8)
    >>> again.equals(rows)  # out of the store: nothing was generated
    True
    """
    check_model(model)
    check_place(store)
    show_text = check_flag(show_text, "show_text")
    sets = named_sets(prompts)
    if not sets:
        raise WorkbenchError("a sweep needs prompts; got no prompts in no set")
    if number(screen_least, "screen_least") < 0:
        raise WorkbenchError(f"screen_least={screen_least}: expected 0 or more nats")
    _check(model, sets, arms, scores, stop, screen)
    check_sizes(max_new_tokens=max_new_tokens, batch_size=batch_size)
    stream: Stream = stream_rows if on == "local" else choose_cluster(on).stream
    vllm = choose_engine(model.engine if engine is None else engine)
    sampling = Sampling(temperature, top_p, seed)
    written = [score for score in scores if _is_of_response(score)]
    by = "workbench" if vllm is None else "vllm"
    decoding = Decoding(max_new_tokens, sampling, tuple(written) if stop == "verdict" else (), by)
    rows = sweep_rows(model, sets, arms, decoding)
    steers, lengths = [row.arm.steer for row in rows], [len(row.token_ids) for row in rows]
    check_positions(steers, lengths)
    check_covered(steers, lengths, max_new_tokens)
    if vllm is not None:
        refuse(model, steers, lengths, vllm.chunk)
        import_vllm()
        stream = partial(stream, vllm=vllm)
    margins = read_margins(model, rows) if screen else {}
    skipped = screen_out(model, rows, margins, screen_least) if screen else set()
    shelf = Store(store)
    _tell_of_other_revisions(model, shelf)
    wanted = [row for row in rows if row.key not in skipped] if written else []
    generate_missing(model, wanted, shelf, decoding, batch_size, stream=stream)
    frame = _rows_frame(model, rows, shelf.frame({row.key for row in wanted}, show_text=True), decoding)
    if not written:
        frame[["tokens", "finish"]] = [0, "not written"]
    frame.loc[frame["key"].isin(skipped), ["tokens", "finish"]] = [0, "screened"]
    _tell_failures(frame)
    if screen:
        frame["margin"] = frame["key"].map(margins)
    return _add_scores(model, rows, frame, shelf, scores, show_text)


#: why the rows of a finish have no value
_REASONS = {"failed": "the model returned NaN", "screened": "screened out, nothing was generated"}


def _python_value(value: object) -> object:
    """A number of numpy or torch as Python's own, as JSON has it; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _value(text: str) -> object:
    """A stored score; None where it cannot be read, so that it is computed again."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _tell_of_other_revisions(model: Model, shelf: Store) -> None:
    """Say in one line what becomes of the rows that a model of this name wrote as it was before."""
    others = {revision: n for revision, n in shelf.revisions(model.name).items() if revision != known_revision(model)}
    if others:
        log.warning(
            "%d rows of %s in %s are of other revisions (%s): they stay there and are not used, and %s writes its own",
            sum(others.values()), model.name, shelf.folder, ", ".join(sorted(others)), known_revision(model),
        )  # fmt: skip


def _check(
    model: Model,
    sets: Mapping[str, Prompts],
    arms: Sequence[Arm],
    scores: Sequence[Scorer],
    stop: str,
    screen: str | None,
) -> None:
    if not isinstance(scores, Sequence) or isinstance(scores, str):
        raise WorkbenchError(f"scores= is a list of scores, e.g. [wb.refusal], not {scores!r}")
    if not as_arms(arms) or not scores:
        raise WorkbenchError(f"a sweep needs arms and scores; got {len(arms)} arms and {len(scores)} scores")
    if odd := [score for score in scores if not (hasattr(score, "values") and hasattr(score, "version"))]:
        raise WorkbenchError(f"{odd[0]!r} is no score; e.g. wb.refusal, or wb.Score('length', 1, len)")
    if stop not in ("end", "verdict") or screen not in (None, "margin"):
        raise WorkbenchError(f'stop={stop!r}, screen={screen!r}: expected "end" or "verdict", and None or "margin"')
    late = [score.name for score in scores if score.decided is None]
    if stop == "verdict" and late:
        raise WorkbenchError(f'{late[0]} is decided only at the end of a response; leave it out, or stop="verdict"')
    _distinct(
        "arms", "called", [arm.name for arm in arms], "give each a detail=, and join grids of which one has the dose 0"
    )
    _distinct("scores", "called", [score.name for score in scores], "leave one out")
    for name, prompts in sets.items():
        for score in scores:
            if (refuse := getattr(score, "check", None)) is not None:
                refuse(prompts)
        _distinct(
            f"prompts of {name!r}",
            "with the id",
            [prompt.id for prompt in prompts],
            "give each prompt an id of its own",
        )
    check_all((arm.steer for arm in arms), model)
    for score in scores:
        if ready := getattr(score, "ready", None):
            ready()


def _is_of_response(score: Scorer) -> bool:
    """Whether a score needs a response to be written; all do but those that say otherwise."""
    return getattr(score, "of_response", True)


def _distinct(what: str, how: str, names: Sequence[str], remedy: str) -> None:
    """Refuse names that stand for several things: rows of a table are told apart by them."""
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise WorkbenchError(f"there are {Counter(names)[twice[0]]} {what} {how} {twice[0]!r}; {remedy}")


def _tell_failures(frame: "pd.DataFrame") -> None:
    """Warn of the rows that have failed, by arm and dose, and take their texts out: they have no value."""
    failed = frame["finish"] == "failed"
    frame.loc[failed, "text"] = None
    for (arm, dose), rows in frame[failed].groupby(["arm", "dose"], sort=False, dropna=False):
        log.warning(
            "%d of %d rows of arm %r (dose %g) failed: the model returned NaN. They have no value; steer less",
            len(rows),
            (frame["arm"] == arm).sum(),
            arm,
            dose,
        )


def outcomes(rows: "pd.DataFrame", set: str, arm: Arm | str, label: str) -> "pd.Series":
    """Whether each prompt got a certain label under an arm, as input for paired tests and rates.

    Args:
        rows: of ``sweep``, with the score "refusal".
        set: name of the prompt set, e.g. "positive".
        arm: an Arm or its name.
        label: "refusal", "compliance", "off topic" or "collapse". A response in a language that the label cannot read
            has none of them.

    Returns:
        A boolean Series indexed by prompt id, in the same order for every arm.

    Raises:
        WorkbenchError: there are no such rows, they were screened out, or some of them failed. A row without a label
            is neither a refusal nor a compliance.

    >>> d = wb.extract(model, tiny_pairs, at=wb.resid_post(2))
    >>> arms = wb.grid(d, layers=[2], ratios=[0, 0.3])
    >>> rows = wb.sweep(model, tiny_pairs, arms, [wb.refusal], folder, max_new_tokens=4)
    >>> len(wb.outcomes(rows, "positive", arms[-1], "refusal"))  # one per prompt
    3
    """
    if label not in LABELS:
        raise unknown("label", label, LABELS)
    columns = ("set", "arm", "prompt", "score", "value", "finish", "key")
    if missing := [column for column in columns if column not in getattr(rows, "columns", ())]:
        raise WorkbenchError(f"expected the rows of wb.sweep; these have no column {', '.join(missing)}")
    name = arm.name if isinstance(arm, Arm) else arm
    for of, given in (("arm", name), ("set", set)):
        if isinstance(given, Sequence) and not isinstance(given, str):
            raise WorkbenchError(f"{of}={given!r:.60}: expected one, by its name")
    part = rows[(rows["set"] == set) & (rows["arm"] == name) & (rows["score"] == "refusal")]
    if part.empty:
        raise WorkbenchError(f"no rows of arm {name!r} on {set!r}; the arms are {', '.join(rows['arm'].unique()[:12])}")
    if (part["finish"] == "screened").any():
        raise WorkbenchError(
            f"arm {name!r} was screened out on {set!r}: nothing was generated; sweep it without screen="
        )
    if failed := int((part["finish"] == "failed").sum()):
        raise WorkbenchError(
            f"{failed} of {len(part)} rows of arm {name!r} on {set!r} failed, since the model returned NaN, and have no label; "
            "leave the arm out, or sweep it at a lower dose"
        )
    part = part.drop_duplicates(["prompt", "key"])  # of sweeps that were joined
    _distinct(f"rows of arm {name!r} on {set!r}", "for the prompt", list(part["prompt"]), "pass the rows of one sweep")
    unread = part["reason"].str.startswith("not English") if "reason" in part else False
    if lost := int((part["value"].isna() & ~unread).sum() if "reason" in part else part["value"].isna().sum()):
        raise WorkbenchError(
            f"arm {name!r} has {lost} of {len(part)} rows without a label on {set!r}, e.g. since a thought was cut: raise "
            "max_new_tokens, or leave their prompts out in all arms"
        )
    return (part.set_index("prompt")["value"] == label).sort_index()


def _rows_frame(model: Model, rows: Sequence[Job], stored: "pd.DataFrame", decoding: Decoding) -> "pd.DataFrame":
    """One line per row, with its text; screened rows have none."""
    import pandas as pd

    doses = {arm: (arm.steer.dose, json.dumps(arm.steer.doses)) for arm in {row.arm for row in rows}}
    frame = pd.DataFrame(
        {
            "set": [row.set for row in rows],
            "prompt": [row.prompt.id for row in rows],
            "base": [row.prompt.base or row.prompt.id for row in rows],
            "category": [row.prompt.category for row in rows],
            "arm": [row.arm.name for row in rows],
            "kind": [row.arm.kind for row in rows],
            "layer": [row.arm.layer for row in rows],
            "ratio": [row.arm.ratio for row in rows],
            "seed": [row.arm.seed for row in rows],
            "dose": [doses[row.arm][0] for row in rows],
            "doses": [doses[row.arm][1] for row in rows],
            "key": [row.key for row in rows],
        }
    )
    frame = frame.join(stored.set_index("key").reindex(columns=["text", "tokens", "finish"]), on="key")
    return frame.assign(model=model.name, revision=known_revision(model), decoding=str(decoding))


def _add_scores(
    model: Model, rows: Sequence[Job], frame: "pd.DataFrame", shelf: Store, scores: Sequence[Scorer], show_text: bool
) -> "pd.DataFrame":
    """The frame once per score; values that the store does not hold yet are computed from the text, and stored."""
    import pandas as pd

    whole = frame[frame["finish"] != "screened"].drop_duplicates("key").set_index("key")["text"]
    written = {row.key: row for row in rows}
    parts = []
    for score in scores:
        texts = whole.dropna() if _is_of_response(score) else whole.fillna("")
        places = {key: content_key([key, score.name, score.version]) for key in texts.index}
        known = shelf.scores.frame(set(places.values())).set_index("key")["value"].map(_value).dropna().to_dict()
        fresh = [key for key, place in places.items() if place not in known]
        asked, steers = [written[key].prompt for key in fresh], [written[key].arm.steer for key in fresh]
        values = score.values(model, asked, [texts[key] for key in fresh], steers) if fresh else []
        new = {key: _python_value(value) for key, value in zip(fresh, values, strict=True)}
        kept = {key: value for key, value in new.items() if not pd.isna(value)}  # what has no value is asked for again
        shelf.scores.append(
            pd.DataFrame(
                {
                    "key": [places[key] for key in kept],
                    "completion": list(kept),
                    "score": score.name,
                    "version": score.version,
                    "value": [json.dumps(value) for value in kept.values()],
                }
            )
        )
        if len(kept) < len(new):
            log.warning("%s: %d of %d new responses have no value", score.name, len(new) - len(kept), len(new))
        by_key = {key: new[key] if key in new else known[places[key]] for key in texts.index}
        opened = thought_opened(model) if score.name == "refusal" else ""
        why = getattr(score, "reason", None) or (lambda text: "")
        reasons = {key: why(opened + texts[key]) for key, value in by_key.items() if pd.isna(value)}
        value = frame["key"].map(by_key)
        reason = (
            frame["finish"]
            .map(_REASONS)
            .fillna(frame["key"].map(reasons))
            .fillna("")
            .replace("", "the score gave none")
        )
        parts.append(
            frame.assign(score=score.name, version=score.version, value=value, reason=reason.where(value.isna(), ""))
        )
    long = pd.concat(parts, ignore_index=True)
    return long if show_text else long.drop(columns="text")
