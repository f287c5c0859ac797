"""What is known so far about one case, on its way to an Explanation."""

from __future__ import annotations

from collections.abc import Sequence

from explain.case import Case
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
