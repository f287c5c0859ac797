"""Attention → what the browser draws: the grid of heads, one head's map, and sentences made from the numbers."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int

from explain.attention.flow import LONGEST
from explain.attention.statistics import MEANING
from explain.heads import HeadMap, HeadsReport, StackReport
from explain.records import Kind, Tokens
from explain.render.figures import plain
from explain.render.palette import BLUE
from explain.render.pieces import visible
from explain.render.sentences import percent, signed

By = Literal["word", "token"]
Report = HeadsReport | StackReport
Label = tuple[str, tuple[int, ...], bool]
"""Of a row or column: its name, its tokens, whether they are special."""
EFFECT = "effect"
QUANTITIES = (EFFECT, *MEANING)
KINDS: dict[Kind, str] = {"encoder": "Encoder", "causal": "Decoder", "cross": "Cross-attention"}
"""Whose heads there are where an encoder reads and a decoder writes."""
_LOOKS = {
    "encoder": "These are the encoder's heads: words of the text look at each other.",
    "causal": "These are the decoder's own heads: what is written looks at what is written before it.",
    "cross": "These are the heads between both: what is written (rows) looks at the text that the encoder has read "
    "(columns).",
}
_LEFT_OUT = (
    "Layers count from 0 on in each stack. Rollout and flow, which follow attention through one stack to the answer, "
    "BertViz's views and filing are for models with one stack."
)
LINKS = 12
"""Strongest links that are listed beside the picture."""
_ABLATED = {
    "mean": "its average output over ordinary sentences",
    "resample": "its output at random tokens of ordinary sentences",
    "zero": "nothing (zeros)",
}


def meaning(report: Report, quantity: str) -> str:
    """What a quantity measures, in words."""
    if quantity != EFFECT:
        none = "" if quantity in report.statistics else " This text has none."
        return f"{quantity.capitalize()}: {MEANING[quantity]}.{none}"
    if report.effects is None:
        return f"Effects were not measured. {report.unmeasured}".strip()
    return (
        f"Effect: how far the {report.target.unit} of {report.target.name} falls when this head gives "
        f"{_ABLATED[report.ablation or 'mean']} instead. Other heads may take over, so a small effect does not show "
        "that a head does nothing."
    )


def quantities(report: Report) -> list[str]:
    """What the grid can be coloured by; a model with one stack shows too what a text has no case of."""
    return [q for q in QUANTITIES if isinstance(report, HeadsReport) or q == EFFECT or q in report.statistics]


def gone(report: Report, masked: tuple[int, ...]) -> str | None:
    """What the decision above is based on, where words are hidden."""
    if not masked:
        return None
    names = {int(report.tokens.words[m[0]]): name for name, m, _ in labels(report.tokens, "word")}
    filler = next(s for s, w in zip(report.tokens.strings, report.tokens.words, strict=True) if w == masked[0])
    return f"Without having read {', '.join(f'“{names[i]}”' for i in masked)}. {filler} stands there instead."


def grid(report: Report, quantity: str, chosen: tuple[int, int]) -> dict[str, Any]:
    """The layers × heads grid for the browser; tints are −1 to 1 (0 to 1 for quantities without a direction)."""
    values = report.effects if quantity == EFFECT else report.statistics.get(quantity)
    known = values is not None  # else every cell says that nothing was measured
    table = (np.zeros_like(report.statistics["special"]) if values is None else values).astype(float)  # (L, H)
    limit = float(np.abs(table).max()) or 1.0
    share = quantity not in (EFFECT, "distance")
    limit = 1.0 if share else limit
    return {
        "id": f"{report.tokens.digest} {report.kind}" if isinstance(report, StackReport) else report.tokens.digest,
        "name": quantity,
        "values": np.round(table, 4).tolist(),
        "shown": [[_number(v, quantity) if known else "–" for v in row] for row in table],
        "tints": np.round(table / limit, 3).tolist(),
        "signed": quantity == EFFECT,
        "limit": f"{limit:.2g}",
        "unit": report.target.unit if quantity == EFFECT else "tokens" if quantity == "distance" else "share",
        "chosen": list(chosen),
    }


def strongest(report: Report) -> tuple[int, int]:
    """Layer and head with the largest effect; the first where none was measured."""
    if report.effects is None:
        return 0, 0
    layer, head = np.unravel_index(int(np.abs(report.effects).argmax()), report.effects.shape)
    return int(layer), int(head)


def _number(value: float, quantity: str) -> str:
    return signed(value) if quantity == EFFECT else f"{value:.2f}"


def about_head(report: Report, layer: int, head: int) -> str:
    """One head in a sentence: what replacing it does, and what it looks at."""
    said = []
    if report.effects is not None:
        effect = float(report.effects[layer, head])
        place = int((np.abs(report.effects) > abs(effect)).sum()) + 1
        said.append(
            f"Replaced by {_ABLATED[report.ablation or 'mean']}, it takes {signed(effect)} {report.target.unit} from "
            f"{report.target.name}: place {place} of {report.effects.size} heads by size of effect."
        )
    s = {name: float(values[layer, head]) for name, values in report.statistics.items()}
    puts = [f"{percent(s['special'])} of the weight of ordinary words on special tokens"]
    places = (("previous", "on the token before"), ("itself", "on the token itself"))
    puts += [f"{percent(s[name])} {where}" for name, where in places if name in s]
    far = f", and looks {s['distance']:.1f} tokens far" if "distance" in s else ""
    said.append(f"It puts {', '.join(puts[:-1])}{' and ' if puts[1:] else ''}{puts[-1]}{far}.")
    return " ".join(said)


def labels(tokens: Tokens, by: By) -> list[Label]:
    """Rows and columns of a map as (name, token indices, special?): words, or single tokens."""
    if by == "token":
        return [(visible(s), (t,), bool(tokens.special[t])) for t, s in enumerate(tokens.strings)]
    found: list[tuple[str, list[int], bool]] = []
    place: dict[int, int] = {}
    for t, word in enumerate(tokens.words.tolist()):
        if word >= 0 and word in place:
            found[place[word]][1].append(t)
            continue
        if word >= 0:
            place[word] = len(found)
        found.append(("", [t], word < 0))
    named, segment, spans = [], tokens.segment.tolist(), tokens.offsets.tolist()
    for _, members, special in found:
        start, end = min(spans[t][0] for t in members), max(spans[t][1] for t in members)
        raw = tokens.texts[max(0, segment[members[0]])][start:end].strip()
        named.append((visible(tokens.strings[members[0]] if special else raw), tuple(members), special))
    return named


def merged(
    values: Float[np.ndarray, "Q T"], rows: list[tuple[int, ...]], columns: list[tuple[int, ...]]
) -> Float[np.ndarray, "V W"]:
    """Columns summed and rows averaged over groups of tokens: rows still sum to 1 where they did."""
    (looking, firsts, sizes), (seen, starts, widths) = map(_grouped, (rows, columns))
    if sizes.max(initial=1) == widths.max(initial=1) == 1:  # nothing to add up: no copies of millions of numbers
        same = all(np.array_equal(a, np.arange(n)) for a, n in zip((looking, seen), values.shape, strict=True))
        return values if same else values[np.ix_(looking, seen)]
    found = np.add.reduceat(values[:, seen], starts, axis=1)  # (Q, W)
    return np.add.reduceat(found[looking], firsts, axis=0) / sizes[:, None]  # (V, W)


def _grouped(
    groups: list[tuple[int, ...]],
) -> tuple[Int[np.ndarray, "T"], Int[np.ndarray, "W"], Int[np.ndarray, "W"]]:
    """The tokens of all groups in their order, where each group begins among them, and its size."""
    sizes = np.array([len(g) for g in groups], dtype=np.int64)
    return np.array([t for g in groups for t in g], dtype=np.int64), np.cumsum(sizes) - sizes, sizes


def head_map(head: HeadMap, *, by: By, norms: bool, specials: bool, selected: int | None = None) -> dict[str, Any]:
    """One head for the browser: numbers as bytes of 1/65535 of the largest, row by row.

    Args:
        head: what is shown.
        by: merge tokens to words, or not.
        norms: show lengths of what is given instead of weights.
        specials: show special tokens; else they are left out, and rows sum to less than 1.
        selected: row to mark at first.
    """
    rows, columns, table = _table(head, by, norms, specials)
    largest = float(table.max(initial=0)) or 1.0
    steps = np.rint(table / largest * 65535).astype("<u2")
    return {
        "id": f"{head.tokens.digest}-{head.kind}-{by}-{specials}",
        "names": [name for name, _, _ in rows],
        "columns": [name for name, _, _ in columns],
        "size": len(rows),
        "values": base64.b64encode(steps.tobytes()).decode("ascii"),
        "largest": largest,
        "unit": "length of what is given" if norms and head.norms is not None else "attention weight",
        "title": name_of(head),
        "selected": selected if selected is not None and selected < len(rows) else None,
    }


def named(head: HeadMap, by: By, specials: bool) -> tuple[list[Label], list[Label]]:
    """Rows and columns that are shown, as `labels` gives them: without `specials`, those too where nothing else is."""
    every = [labels(tokens, by) for tokens in head.sides]
    rows, columns = (some if specials else [e for e in some if not e[2]] or some for some in every)
    return rows, columns


def row_of(head: HeadMap, by: By, specials: bool, word: int | None) -> int | None:
    """The row of a word of the text (its index); None where there is none."""
    rows, words = named(head, by, specials)[0], head.sides[0].words
    return next((i for i, (_, members, _) in enumerate(rows) if word is not None and words[members[0]] == word), None)


def _table(
    head: HeadMap, by: By, norms: bool, specials: bool
) -> tuple[list[Label], list[Label], Float[np.ndarray, "V W"]]:
    """Rows and columns that are shown, and the numbers between them."""
    rows, columns = named(head, by, specials)
    source = head.norms if norms and head.norms is not None else head.weights
    groups = ([g for _, g, _ in some] for some in (rows, columns))
    return rows, columns, merged(source.astype(np.float64), *groups)


def name_of(head: HeadMap) -> str:
    """'Layer 3, head 9', or the mean of a layer; of two stacks, whose."""
    said = f"layer {head.layer}, " + ("mean of all heads" if head.head is None else f"head {head.head}")
    return f"{KINDS[head.kind]}: {said}" if head.kind is not None else said.capitalize()


def links(head: HeadMap, *, by: By, norms: bool, specials: bool) -> list[tuple[str, str, str]]:
    """The strongest links as (who looks, at what, how much)."""
    rows, columns, table = _table(head, by, norms, specials)
    flat = table.ravel()
    least = np.partition(flat, -LINKS)[-LINKS] if flat.size > LINKS else -np.inf  # sorting millions takes a second
    near = np.flatnonzero(flat >= least)
    order = near[np.argsort(-flat[near], kind="stable")][:LINKS]
    return [
        (rows[i][0], columns[j][0], f"{table[i, j]:.3f}")
        for i, j in zip(*np.unravel_index(order, table.shape), strict=True)
    ]


def shares(report: HeadsReport, by: By = "word") -> list[tuple[str, float, float | None]]:
    """For every word: its share in what is read of the last layer by rollout, and by flow (None: not computed).

    Where several positions are read, rollout is their mean.
    """
    found = []
    rows = report.rollout[list(report.read)].mean(0)  # (T,)
    for name, members, _ in labels(report.tokens, by):
        rolled = float(rows[list(members)].sum())
        flowing = None if report.flow is None else float(report.flow[list(members)].sum())
        found.append((name, rolled, flowing))
    return found


def through_layers(report: HeadsReport) -> str:
    """What rollout and flow say, and of which positions."""
    count, tokens = len(report.read), report.tokens
    if report.decoder_layers:
        where = "the encoder's states, which a decoder reads (the mean over those that move the answer),"
    elif report.position is not None:
        where = f"{visible(tokens.strings[report.position])}, which the last layer hands on,"
    else:
        where = f"the {count} positions of the last layer that move the answer (their mean)"
    said = f"What could have been mixed into {where} if attention were all that happens: rollout multiplies the layers"
    if report.flow is not None:
        return f"{said}, flow treats them as pipes (Abnar & Zuidema 2020)."
    why = f"texts of up to {LONGEST} tokens" if report.position is not None else "one position"
    return f"{said} (Abnar & Zuidema 2020). Flow is computed for {why} only."


def left_out(report: Report) -> str:
    """Whose heads these are, and what of the model's attention is not in the report; empty where nothing is."""
    if isinstance(report, StackReport):
        return f" {_LOOKS[report.kind]} {_LEFT_OUT}"
    if not report.decoder_layers:
        return ""
    return (
        f" These are the encoder's heads. The decoder's {report.decoder_layers} layers, and how it looks back at the "
        "encoder, are not shown."
    )


def largest_pair(head: HeadMap, rows: tuple[int, ...], columns: tuple[int, ...]) -> tuple[int, int, str]:
    """The two tokens with the largest weight between two groups, and which part of the shown cell they are."""
    part = head.weights[np.ix_(rows, columns)]
    i, j = np.unravel_index(int(part.argmax()), part.shape)
    said = "" if part.size == 1 else f" This is the largest of {part.size} pairs of word pieces behind this cell."
    return rows[int(i)], columns[int(j)], said


def product_sentence(head: HeadMap, query: int, key: int) -> str:
    """How the weight of one token on another comes about, in numbers."""
    logit, weight = float(_products(head, query, key).sum()), float(head.weights[query, key])
    names = [visible(tokens.strings[t]) for tokens, t in zip(head.sides, (query, key), strict=True)]
    count = 0 if head.query is None else head.query.shape[1]
    said = (
        f"“{names[0]}” asks, “{names[1]}” answers: {count} products, each "
        f"times {head.scaling or 1:.3g}, add up to {signed(logit)}"
    )
    if head.visible is not None and not head.visible[query, key]:
        return f"{said}, but a mask forbids to look there: the weight is {weight:.3f}."
    if head.cap is not None:
        logit = float(np.tanh(logit / head.cap) * head.cap)
        said += f", capped to {signed(logit)}"
    if head.total is not None and weight > 0:
        total = float(np.log(weight) + head.total[query])
        if abs(total - logit) > 1e-4 * max(1.0, abs(total)):
            said += f"; a bias of {signed(total - logit)} makes that {signed(total)}"
    sink = "" if head.sink is None else f" The row gives {percent(float(head.sink[query]))} to no token (a sink)."
    return f"{said}; softmax over the row makes that {weight:.3f}.{sink}"


def products(head: HeadMap, query: int, key: int) -> go.Figure:
    """The products of query and key, one bar a dimension; their sum is the score before cap, bias and mask."""
    values = _products(head, query, key)
    figure = go.Figure(go.Bar(x=list(range(len(values))), y=np.round(values, 4).tolist(), marker={"color": BLUE}))
    figure.update_xaxes(title="dimension of the head")
    figure.update_yaxes(title="query × key × scaling")
    return plain(figure, 260)


def _products(head: HeadMap, query: int, key: int) -> Float[np.ndarray, "d"]:
    if head.query is None or head.key is None:
        return np.zeros(0)
    return head.query[query].astype(float) * head.key[key].astype(float) * (head.scaling or 1)


def how(report: Report) -> list[tuple[str, str]]:
    """How it was computed, as label and value."""
    made, model = report.provenance, report.model
    depth = f"{len(next(iter(report.statistics.values())))} layers"
    if isinstance(report, HeadsReport):
        out = f"; the decoder's {report.decoder_layers} are left out" if report.decoder_layers else ""
        depth = f"{report.kind}, {depth}{out}"
    else:
        depth = f"{KINDS[report.kind].lower()}, {depth}"
    return [
        ("Model", f"{model.id} @ {model.revision[:12]}"),
        ("Weights", f"SHA-256 {model.weights_sha256[:16]}… · {model.licence or 'licence not stated'}"),
        ("Explained", f"{report.target.unit} of {report.target.name}"),
        ("Attention", depth),
        ("Heads replaced by", _ABLATED[report.ablation] if report.ablation else "not replaced"),
        ("Recorded pass", f"answers as a plain one to within {report.difference:.1g}"),
        ("Computed in", f"{made.dtype} · {made.device} · {made.threads} thread(s)"),
        ("Time", f"{made.created.split('.')[0].replace('T', ' ')} UTC · {made.seconds:.1f} s"),
        ("Limits", report.caveat),
    ]
