"""What enters the first block: vectors looked up in tables, how order comes in, and a token's nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from explain.model.recognise import as_norm, plain, same
from explain.model.road import Walk
from explain.model.rows import Row
from explain.model.runner import Runner
from explain.model.tape import Call
from explain.road import AttentionStep, EmbeddingStep, PositionStep, TablePart

DIMENSIONS = 64
"""Dimensions of a position that are kept to be drawn."""
SPARE = 4
"""Rows that a table of positions may have beside those of its places."""
CHUNK = 8192
"""Vectors of the vocabulary that are compared at a time."""


def embedding(found: Walk, row: Row) -> EmbeddingStep | None:
    """The parts that tables add for the token, and the norm behind them; None where no table was seen."""
    calls = [c for c in found.tape.calls if c.where == "before"]
    entering = found.row(found.tape.first)
    tables = [c for c in calls if isinstance(c.module, nn.Embedding) and c.made.shape[-1] == entering.numel()]
    parts = tuple(_part(found, call, row) for call in tables)
    if not parts:
        widths = sorted({c.made.shape[-1] for c in calls if isinstance(c.module, nn.Embedding)})
        found.reasons["embedding"] = (
            f"The tables' vectors are {' and '.join(map(str, widths))} numbers wide and pass a projection to "
            f"{entering.numel()}, which is not followed here."
            if widths
            else "No table of vectors was seen before the first block."
        )
        return None
    total = torch.from_numpy(np.sum([p.vector for p in parts], axis=0)).to(entering)
    steps = (as_norm(c, found.row(c.given), found.row(c.made)) for c in calls if not isinstance(c.module, nn.Embedding))
    norm = next(
        (s for s in steps if s is not None and same(torch.from_numpy(s.after.copy()).to(entering), entering)), None
    )
    start = total if norm is None else torch.from_numpy(norm.before.copy()).to(entering)
    rest = float((start - total).norm() if norm is not None else (entering - total).norm())
    if rest > 1e-4 * float(start.norm()):
        found.reasons["embedding"] = "The model adds or multiplies something here that does not come from a table."
    else:
        rest = 0.0
    return EmbeddingStep(parts, norm, plain(entering), rest)


def position(runner: Runner, found: Walk, row: Row, head: AttentionStep | None) -> PositionStep:
    """How order comes in: a table, rotation, or biases on the scores; told by what modules hold and do."""
    tokens = len(row)
    for call in found.tape.calls:
        if call.where == "before" and isinstance(call.module, nn.Embedding) and _kind(found, call, row) == "position":
            vectors = call.made.reshape(-1, call.made.shape[-1])[:tokens].float()  # (T, D)
            lengths = vectors.square().sum(-1)
            waves = bool((lengths - vectors.shape[-1] / 2).abs().max() < 1e-2)  # sin² + cos² = 1 for every pair
            return PositionStep("sinusoidal" if waves else "learned", plain(vectors[:, :DIMENSIONS]))
    for part in runner.module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            if name.endswith("inv_freq") and buffer.ndim == 1:
                places = torch.arange(tokens, device=buffer.device, dtype=torch.float32)
                return PositionStep("rotary", plain(places[:, None] * buffer.float()[None, :DIMENSIONS]))  # (T, d/2)
    if head is not None and bool(np.abs(head.bias).max() > 0):
        return PositionStep("relative", head.bias[:, None].copy())
    if _turned(found):
        return PositionStep("rotary", None)
    found.reasons["position"] = "No table of positions, no rotation and no bias on the scores was found."
    return PositionStep("none found", None)


def _turned(found: Walk) -> bool:
    """Are queries as long as what their matrix makes, the same at the first place, and different later?"""
    if found.heads is None or found.heads.query.shape[1] < 2:
        return False
    query = found.heads.query  # (H, T, d)
    for call in found.block:
        if call.matrix and call.made.reshape(-1).numel() == query.size:
            raw = plain(call.made).reshape(query.shape[1], query.shape[0], -1).transpose(1, 0, 2)  # (H, T, d)
            kept = np.allclose(np.linalg.norm(raw, axis=-1), np.linalg.norm(query, axis=-1), rtol=1e-3)
            if kept and np.allclose(raw[:, 0], query[:, 0], atol=1e-4) and not np.allclose(raw, query, atol=1e-3):
                return True
    return False


def nearest(
    runner: Runner, vector: Float32[np.ndarray, "D"], besides: int = -1, count: int = 8
) -> tuple[tuple[str, float], ...]:
    """Tokens besides one whose vectors in the model's table have the largest cosine with `vector`.

    () where the table is of another width.
    """
    ids: Int64[np.ndarray, "V"] = np.arange(len(runner.tokenizer))
    unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
    found = []
    for start in range(0, len(ids), CHUNK):
        table = runner.embed(ids[start : start + CHUNK])  # (V, D)
        if table.shape[-1] != len(unit):
            return ()
        found.append(table @ unit / np.maximum(np.linalg.norm(table, axis=1), 1e-12))
    cosines = np.concatenate(found)
    best = np.array([i for i in np.argsort(-cosines, kind="stable")[: count + 1] if i != besides][:count])
    names = runner.tokenizer.convert_ids_to_tokens(best.tolist())
    return tuple((str(n), float(cosines[i])) for n, i in zip(names, best, strict=True))


def _part(found: Walk, call: Call, row: Row) -> TablePart:
    indices = _indices(call)
    index = int(indices[min(found.token, len(indices) - 1)]) if indices is not None else -1
    name = call.name.rsplit(".", 1)[-1]
    return TablePart(_kind(found, call, row), name, index, plain(found.row(call.made)))  # type: ignore[arg-type]


def _kind(found: Walk, call: Call, row: Row) -> str:
    """What a table is asked for, told by the indices that it was given."""
    indices = _indices(call)
    if indices is None:
        return "other"
    whole = len(indices) == len(row)
    if whole and np.array_equal(indices, row.ids):
        return "word"
    rows = len(call.module.weight)  # type: ignore[arg-type]
    placed = len(indices) > 1 or 0 < found.places <= rows <= found.places + SPARE  # one token: told by the table's size
    if whole and placed and bool((np.diff(indices) == 1).all()):
        return "position"
    types = row.inputs.get("token_type_ids", np.zeros(len(row), np.int64))
    return "token type" if whole and np.array_equal(indices, types) else "other"


def _indices(call: Call) -> Int64[np.ndarray, "T"] | None:
    """Rows of the table that were looked up, if the vectors that came out are those."""
    weight: Any = call.module.weight
    table: Tensor = weight.detach()
    made = call.made.reshape(-1, call.made.shape[-1])
    given = call.given.reshape(-1)
    if not given.is_floating_point() and given.numel() == len(made) and int(given.max()) < len(table):
        looked = table[given]
        scale = made.norm() / looked.norm().clamp(min=1e-12)  # some models multiply what they look up
        if same(looked * scale, made):
            return given.cpu().numpy()
    for shift in range(4):  # some tables make their own positions, and start a few rows late
        if len(made) + shift <= len(table) and torch.equal(table[shift : shift + len(made)], made):
            return np.arange(shift, shift + len(made))
    return None
