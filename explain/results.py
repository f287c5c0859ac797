"""What is known so far about one case, on its way to an Explanation, and with what it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from explain.calibration import WRITTEN
from explain.case import Case
from explain.machine import here, threads, versions
from explain.methods import find
from explain.model.runner import Runner
from explain.notices import notices
from explain.records import (
    AttentionMaps,
    Attribution,
    Check,
    Effects,
    Explanation,
    Interactions,
    Notice,
    Provenance,
)


class Result:
    """Filled in by `explain.work`; None is what was not asked for, or not measured yet."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.attributions: list[Attribution] = []
        self.effects: Effects | None = None
        self.checks: list[Check] = []
        self.interactions: Interactions | None = None
        self.attention: tuple[AttentionMaps, ...] | None = None
        self.notices: tuple[Notice, ...] = ()  # about how the text was taken apart

    def explanation(self, model: Runner, gated: Sequence[Notice], provenance: Provenance) -> Explanation:
        """All of it as a record; `gated` are notices about the methods that ran."""
        case, info, tokenizer = self.case, model.info, model.tokenizer
        ids = tokenizer.unk_token_id, set(tokenizer.all_special_ids)
        said = notices(
            info, case.tokens, case.prediction, case.target, *ids, case.encoding.windows, case.encoding.window
        )
        return Explanation(
            model=info,
            tokens=case.tokens,
            prediction=case.prediction,
            target=case.target,
            attributions=tuple(self.attributions),
            effects=self.effects,
            attention=self.attention,
            checks=tuple(self.checks),
            warnings=(*gated, *self.notices, *said),
            interactions=self.interactions,
            candidates=model.candidates,
            provenance=provenance,
        )


def provenance(
    model: Runner,
    methods: Sequence[str],
    created: datetime,
    seconds: float,
    *,
    case: Case | None,
    seed: int,
    group: int | None,
    rough: Sequence[str],
) -> Provenance:
    """With what something was computed; arguments as `Provenance` has them.

    Args:
        model: whose answer it is.
        methods: names of those that ran; `rough` of those among them that ran in bfloat16.
        created: when it began.
        seconds: how long it has taken so far.
        case: what was asked, None for questions that have no case.
        seed: where there is no case.
        group: texts that are computed together, None where it is no text.
        rough: see `methods`.
    """
    info, ran = model.info, [find(name) for name in methods]
    return Provenance(
        versions=versions(),
        device=info.device,
        dtype="; ".join([info.dtype, *([f"{WRITTEN}: {', '.join(rough)}"] if rough else [])]),
        kernel=info.kernel,
        threads=threads(),
        seed=seed if case is None else case.seed,
        created=created.isoformat(timespec="milliseconds"),
        seconds=round(seconds, 4),
        machine=here(info.device),
        evaluating=not model.module.training,
        budget=None if case is None else case.budget,
        group=group,
        libraries={m.info.name: m.library for m in ran},
        cautions={m.info.name: m.info.misleads for m in ran},
    )
