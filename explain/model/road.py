"""Follow one token through one block: from what was written down to numbers with names.

No architecture is named: parts are found by what they do. An output projection is the matrix that is given what the
heads made; a norm is a module whose output is its input, centred and scaled; a residual connection is a sum that adds
up; a feed-forward's neurons are what the last matrix of a block is given. What cannot be found, or does not add up, is
None, and a reason says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from explain.errors import ModelError
from explain.model.heads import HIDDEN, Heads, observe
from explain.model.inside import blocks
from explain.model.recognise import TOLERANCE, as_matrix, as_norm, is_leaf, plain, same
from explain.model.rows import Row
from explain.model.runner import Meter, Runner
from explain.model.tape import Call, Tape, recording
from explain.road import AttentionStep, FeedForwardStep, NormStep, SumStep


@dataclass
class Walk:
    """One pass over one text: what was written down, seen from `token`; `heads` are those of the block."""

    tape: Tape
    token: int
    value: float
    heads: Heads | None
    logits: Float32[np.ndarray, "C"]
    reasons: dict[str, str] = field(default_factory=dict)
    places: int = 0  # that the model has a vector for, where its configuration says so

    def row(self, tensor: Tensor | None) -> Tensor:
        """The token's vector in a tensor (1, T, K) or (T, K), or (K,) where all tokens share one."""
        if tensor is None:
            raise ModelError(
                "The model does not hand one vector a token from layer to layer, so its inside cannot be shown.",
                code="no_blocks",
            )
        flat = tensor.reshape(-1, tensor.shape[-1])
        return flat[self.token if len(flat) > self.token else 0].float()

    @property
    def block(self) -> list[Call]:
        """Calls inside the block; a matrix that was also tried on single heads counts once, the last time."""
        calls = [c for c in self.tape.calls if c.where == "block"]
        last = {id(c.module): c for c in calls}
        return [c for c in calls if not c.matrix or last[id(c.module)] is c]


def walk(runner: Runner, row: Row, meter: Meter, layer: int, token: int) -> Walk:
    """Run one row and write down what happens in block `layer`.

    Raises:
        ModelError: the model has no such layer, or does not keep its layers in a list.
    """
    stack = blocks(runner.module, runner.info.n_layers)
    heads: Heads | None = None
    reasons: dict[str, str] = {}
    with runner.lock:
        try:
            with recording(runner.module, stack, layer) as tape:
                values, (heads,) = observe(runner, [row], meter, layer, to_the_end=True)
        except ModelError as error:
            if error.code not in ("no_attention_interface", "no_layer"):
                raise
            reasons["attention"] = str(error)
            with recording(runner.module, stack, layer) as tape:
                values = runner.values([row], meter)
        places = getattr(getattr(runner.module, "config", None), "max_position_embeddings", None) or 0
        logits = runner.raw(tape.outputs, [row])[0].cpu().numpy()
    return Walk(tape, token, float(values[0]), heads, logits, reasons, places)


def attention(found: Walk, head: int) -> AttentionStep | None:
    """One head as the token sees it; None where the architecture hides it."""
    if found.heads is None:
        return None
    h, t, head_ = found.heads, found.token, head
    group = head * len(h.key) // len(h.weights)  # grouped-query heads share a key
    query, key, value = h.query[head], h.key[group], h.value[group]
    scores = key @ query[t] * np.float32(h.scaling)  # (T,)
    logits = scores if h.logits is None else h.logits[head, t]
    visible = logits > HIDDEN
    bias = np.where(visible, logits - scores, 0).astype(np.float32)
    bias[np.abs(bias) < TOLERANCE * max(1.0, float(np.abs(scores).max()))] = 0
    call = _projection(found)
    given = None if h.mixed is None else (h.weights[head_, t, :, None] * h.mixed[head_]).sum(0)
    if call is None:
        found.reasons["projection"] = "No matrix was found that is given what the heads made."
    return AttentionStep(
        query=query[t],
        key=key,
        value=value,
        scaling=h.scaling,
        scores=scores.astype(np.float32),
        bias=bias,
        visible=visible,
        weights=h.weights[head, t],
        mixed=h.output[head, t],
        projected=None if given is None else given.astype(np.float32),
        output=None if call is None else plain(found.row(call.made)),
        sink=0.0 if h.sink is None else float(h.sink[head, t]),
    )


def norms(found: Walk) -> list[NormStep]:
    """The normalisations inside the block, in order."""
    steps = [as_norm(c, found.row(c.given), found.row(c.made)) for c in found.block if is_leaf(c) and not c.matrix]
    kept = [s for s in steps if s is not None and len(s.before) == found.row(found.tape.entering).numel()]
    if not kept:
        found.reasons["norms"] = "No module was found in this block that centres or scales the token's vector."
    return kept


def sums(found: Walk, steps: list[NormStep]) -> list[SumStep]:
    """The residual connections: which earlier vectors each norm's input, and the block's output, is the sum of."""
    entering = found.row(found.tape.entering)
    known = {"what entered the block": entering}
    known |= {f"after {s.name}": torch.from_numpy(s.after.copy()).to(entering) for s in steps}
    named = set(known)  # a whole vector of the road; whoever equals one of these was not added up
    for name, call in parts(found).items():
        if not any(same(vector, found.row(call.made)) for vector in known.values()):
            known[name] = found.row(call.made)
    wide = [c for c in found.block if c.matrix and c.made.shape[-1] == entering.numel()]
    matrices = [found.row(c.made) for c in wide]  # a norm right behind a matrix has no sum before it
    totals = {f"before {s.name}": torch.from_numpy(s.before.copy()).to(entering) for s in steps}
    totals["what leaves the block"] = found.row(found.tape.leaving)
    result = []
    for name, total in totals.items():
        if any(same(vector, total) for vector in [*matrices, *(known[n] for n in named)]):
            continue
        fitting = [n for n, vector in known.items() if vector.shape == total.shape]  # bottlenecks are narrower
        groups = (c for k in (2, 3) for c in combinations(fitting, k))
        terms = next((c for c in groups if same(sum(known[n] for n in c), total)), None)
        if terms is None:
            found.reasons["sums"] = f"The vector {name} is not a plain sum of vectors that were seen."
            continue
        result.append(SumStep(name, {n: plain(known[n]) for n in terms}, plain(total)))
        known = {f"the sum {name}": total, **known}
        named.add(f"the sum {name}")
    return result


def feed_forward(found: Walk) -> FeedForwardStep | None:
    """The feed-forward part of the block: None where its last matrix is not one that makes the output from neurons."""
    calls = found.block
    projection = _projection(found)
    later = calls[calls.index(projection) + 1 :] if projection is not None else calls
    out = parts(found).get("feed-forward output")
    if out is None:
        found.reasons["feed_forward"] = "No matrix was found after the attention that makes the block's output."
        return None
    hidden, weight = found.row(out.given), as_matrix(out)  # (N,), (D, N)
    if weight is None:
        found.reasons["feed_forward"] = f"{type(out.module).__name__} is not a plain matrix product."
        return None
    before, gate, name, given = _neurons(found, [c for c in later if c is not out], hidden)
    if given is None:
        found.reasons["neurons"] = "What goes into the feed-forward and its activation was not seen, only the neurons."
    elif before is None:
        found.reasons["neurons"] = "What goes into the activation was not seen, only what comes out."
    return FeedForwardStep(
        given=None if given is None else plain(given),
        gate=None if gate is None else plain(gate),
        before=None if before is None else plain(before),
        activation=name,
        hidden=plain(hidden),
        lengths=plain(hidden.abs() * weight.norm(dim=0)),
        output=plain(found.row(out.made)),
    )


def _neurons(found: Walk, calls: list[Call], hidden: Tensor) -> tuple[Tensor | None, Tensor | None, str, Tensor | None]:
    """What goes into the activation, its gate, the activation's name, and what the matrices before it are given."""
    width = len(hidden)
    ups = [c for c in calls if c.matrix and c.made.shape[-1] == width]
    both = [c for c in calls if c.matrix and c.made.shape[-1] == 2 * width]  # gate and neurons in one matrix
    given = found.row((ups or both)[0].given) if ups or both else None
    made = [found.row(c.made) for c in ups] if ups else [p for c in both for p in found.row(c.made).split(width)]
    for act in (c for c in calls if is_leaf(c) and not c.matrix and c.made.shape[-1] == c.given.shape[-1] == width):
        came, went = found.row(act.given), found.row(act.made)
        if len(made) == 1 and same(came, made[0]) and same(went, hidden):
            return made[0], None, type(act.module).__name__, given
        for gate, before in (made, made[::-1]) if len(made) == 2 else ():
            if same(came, gate) and same(went * before, hidden):
                return before, gate, type(act.module).__name__, given
    return made[0] if len(made) == 1 else None, None, "", given


def _projection(found: Walk) -> Call | None:
    """The first matrix of the block that is given what the heads made."""
    if found.heads is None:
        return None
    made = torch.from_numpy(found.heads.output[:, found.token].reshape(-1).copy())  # (H·e,)
    hits = [c for c in found.block if c.matrix and c.given.shape[-1] == made.numel()]
    return next((c for c in hits if same(found.row(c.given).cpu(), made)), None)


def parts(found: Walk) -> dict[str, Call]:
    """What writes into the block by name: the attention's projection, the feed-forward's last matrix, other calls."""
    calls, width, projection = found.block, found.row(found.tape.entering).numel(), _projection(found)
    parts = {} if projection is None else {"attention output": projection}
    after = calls[calls.index(projection) + 1 :] if projection is not None else calls
    matrices = [c for c in after if c.matrix and c.made.shape[-1] == width]
    if projection is None:  # then a square matrix may be the attention's
        matrices = [c for c in matrices if c.given.shape[-1] != width]
    if matrices:
        parts["feed-forward output"] = matrices[-1]
    seen = [found.row(c.made) for c in parts.values()]
    for call in calls:
        if call.made.shape[-1] == width and call.made.numel() >= width:
            vector = found.row(call.made)
            if not any(same(vector, other) for other in seen):
                seen.append(vector)
                parts[f"output of {call.name}"] = call
    return parts
