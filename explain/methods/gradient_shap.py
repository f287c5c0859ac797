"""GradientSHAP (expected gradients): integrated gradients by random sampling, with noise on the text.

    score_i = E[(x_i + ε_i − b_i) · ∂f(b + α (x + ε − b)) / ∂x_i],   α ~ U(0, 1),  ε ~ N(0, σ²)

Lundberg & Lee 2017; Erion et al. 2021. Computed by Captum's GradientShap, in independent groups whose
scatter gives the standard errors. On average it adds up to E f(x + ε) − f(b): to the change that is explained
only without noise, which is the default. It misleads when differences smaller than the standard error are read.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from explain.case import Ask, Case, Steps
from explain.methods import method
from explain.methods._sampling import standard_error
from explain.plugins import choice, number
from explain.records import Attribution, Evaluations

GROUPS = 16
TOGETHER = 64
"""Points that are drawn from one seed: all groups' by default, each group's where groups are large."""
EVENLY = 16
"""Samples in a part are a multiple of it: torch draws its last 16 normal numbers anew where there is a rest."""
TOKENS = 2**15
"""Tokens of the points that Captum is given in one call: it holds several tensors with a vector for each of them."""
_captum_draws = threading.Lock()  # Captum draws from the global generators; one caller at a time


@dataclass(frozen=True)
class Params:
    """`samples` gradient evaluations in 16 groups; `stdev` is relative to the spread of the text's embeddings."""

    baseline: str = choice(
        "auto", "auto", "mask", "pad", "unk", "zero", "mean", help="what every word is compared with"
    )
    samples: int = number(64, 16, 2000, help="random points along the path")
    stdev: float = number(0.0, 0.0, 2.0, help="noise on the embeddings, relative to their spread; it biases the sum")


@method(
    title="GradientSHAP",
    family="gradient",
    cite="Lundberg & Lee 2017, arXiv:1705.07874; Erion et al. 2021, arXiv:1906.10670",
    misleads="Sampled: differences below the standard error mean nothing, and the sum is only right on average.",
    stochastic=True,
    cost=lambda units: (2, 64),
)
def gradient_shap(case: Case, params: Params) -> Steps[Attribution]:
    """Averages slopes at random points between a neutral text and this one."""
    name, start = case.baseline(params.baseline)
    ends = yield Ask([case.point(start, 0.0), case.point(start, 1.0)])
    spread = float(case.embeds.std()) * params.stdev
    each = max(1, params.samples // GROUPS)
    groups, spent = _captum(case, start, spread, each)  # (G, T)
    token_scores = groups.mean(0)
    unit_groups = case.per_unit(groups)  # (G, U)
    return case.attribution(
        unit_scores=unit_groups.mean(0),
        token_scores=token_scores,
        special=case.of_specials(token_scores),
        value_input=float(ends.values[1]),
        baseline=name,
        value_baseline=float(ends.values[0]),
        error=standard_error(unit_groups),
        seed=case.seed,
        evaluations=spent,
    )


def _captum(case: Case, start: np.ndarray, spread: float, each: int) -> tuple[np.ndarray, Evaluations]:
    """Token scores of every group (G, T), from Captum over our gradients, and what they cost.

    A group is one copy of the text to Captum.
    """
    import torch  # 3 s that listing methods must not pay
    from captum.attr import GradientShap

    class Target(torch.autograd.Function):
        """f(embeddings), with the gradient that the model's primitive returns."""

        @staticmethod
        def forward(ctx: Any, points: torch.Tensor) -> torch.Tensor:
            here = points.detach().numpy().astype(np.float32)  # (n, T, D)
            answer = case.evaluate(Ask([case.point(p, 0.0, p) for p in here], gradients=True))
            costs.append(answer.cost)
            ctx.slopes = torch.from_numpy(np.stack(answer.gradients))
            return torch.from_numpy(answer.values.copy())

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            return ctx.slopes * grads[0][:, None, None]  # type: ignore[no-any-return]

    costs: list[Evaluations] = []
    copies = 1 if case.encoding.windows else max(1, min(GROUPS, TOGETHER // each))
    most = max(1, TOKENS // len(case.tokens.ids))
    explainer, baselines = GradientShap(Target.apply), torch.from_numpy(start[None].copy())
    groups = []

    def drawn(count: int, samples: int) -> np.ndarray:  # (g, T)
        inputs = torch.from_numpy(np.stack([case.embeds] * count))  # (g, T, D)
        found = explainer.attribute(inputs, baselines, n_samples=samples, stdevs=spread)
        return found.double().sum(-1).numpy()  # type: ignore[no-any-return]

    with _captum_draws, torch.random.fork_rng(devices=[]):
        state = np.random.get_state()
        try:
            for group in range(0, GROUPS, copies):
                here = min(copies, GROUPS - group)
                seed = int(np.random.SeedSequence([case.seed, group]).generate_state(1)[0])
                torch.manual_seed(seed)
                np.random.seed(seed)
                if here * each <= most:
                    groups.append(drawn(here, each))
                    continue
                part = max(1, most - most % EVENLY if most > EVENLY else most)
                parts = [min(part, each - at) for at in range(0, each, part)]
                for _ in range(here):  # in the order in which all would be drawn at once, so the points are the same
                    groups.append(np.sum([n * drawn(1, n) for n in parts], axis=0) / each)
        finally:
            np.random.set_state(state)
    spent = Evaluations(sum(c.forward for c in costs), sum(c.backward for c in costs))
    return np.concatenate(groups), spent
