"""One token's road through one block, from a case to a record."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from explain.case import Ask, Case
from explain.errors import InputError, ModelError
from explain.model import beginning, ending
from explain.model import road as steps
from explain.model.runner import Meter, Runner
from explain.records import Provenance
from explain.road import Road, RoadRequest


def road(case: Case, request: RoadRequest, runner: Runner, meter: Meter, provenance: Provenance) -> Road:
    """Every number between the token and the answer that the architecture shows.

    Raises:
        InputError: there is no such layer, head or token.
        ModelError: the model does not keep its layers in a list.
    """
    count = len(case.tokens.ids)
    if not case.info.n_layers:
        raise ModelError(f"{case.info.architecture} does not say how many layers it has.", code="no_blocks")
    for name, value, limit in (
        ("layer", request.layer, case.info.n_layers),
        ("head", request.head, max(1, case.info.n_heads)),
        ("token", request.token, count),
    ):
        if not 0 <= value < limit:
            raise InputError(f"There is no {name} {value}: the last one is {limit - 1}.", code=f"bad_{name}")
    row = case.row()
    plain = float(case.evaluate(Ask([row])).values[0])
    walk = steps.walk(runner, row, meter, request.layer, request.token)
    if walk.heads is not None and request.head >= len(walk.heads.weights):
        raise InputError(f"Layer {request.layer} has {len(walk.heads.weights)} heads.", code="bad_head")
    attention, norms = steps.attention(walk, request.head), steps.norms(walk)
    embedding = beginning.embedding(walk, row)
    word = next((p.vector for p in embedding.parts if p.kind == "word"), None) if embedding is not None else None
    leaving = walk.row(walk.tape.leaving).cpu().numpy()
    return Road(
        model=case.info,
        tokens=case.tokens,
        prediction=case.prediction,
        target=case.target,
        layer=request.layer,
        head=request.head,
        token=request.token,
        embedding=embedding,
        position=beginning.position(runner, walk, row, attention),
        entering=walk.row(walk.tape.entering).cpu().numpy(),
        attention=attention,
        sums=tuple(steps.sums(walk, norms)),
        norms=tuple(norms),
        feed_forward=steps.feed_forward(walk),
        leaving=leaving,
        answer=ending.answer(walk, case.prediction.indices),
        near=() if word is None else beginning.nearest(runner, word, besides=int(case.tokens.ids[request.token])),
        near_after=beginning.nearest(runner, leaving.astype(np.float32)),
        reasons=dict(walk.reasons),
        difference=abs(walk.value - plain),
        provenance=provenance,
    )


def entering(case: Case, runner: Runner, meter: Meter) -> Float32[np.ndarray, "T D"]:
    """What enters the first block."""
    state = steps.walk(runner, case.row(), meter, 0, 0).tape.entering
    return np.zeros((0, 0), np.float32) if state is None else state.reshape(-1, state.shape[-1]).float().cpu().numpy()
