"""What a request will cost on this machine: passes, seconds and memory, before it starts."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Sequence

from explain.catalog import Request
from explain.checks import chosen
from explain.errors import ModelError
from explain.interactions import cost as cost_of_pairs
from explain.methods import find
from explain.model import memory
from explain.model.encoding import Encoding
from explain.model.memory import Pass
from explain.model.runner import Runner
from explain.model.windows import BATCHES
from explain.outline import MOST
from explain.records import Granularity
from explain.settings import settings
from explain.spans import Span
from explain.together import TOGETHER

MEGABYTE = 10**6


def units(request: Request, encoding: Encoding) -> tuple[int, int]:
    """How many units are scored: at least, and likely.

    With sentences first each is one unit at least, up to words that join two; likely, as many are opened as may be,
    each of as many words.
    """

    def count(grain: Granularity, *whole: Span) -> int:
        return int(encoding.units(grain, (*request.phrases, *whole)).of_token.max(initial=0)) + 1

    if request.granularity != "hierarchical":
        return (count(request.granularity),) * 2
    found = encoding.units("sentence", request.phrases)
    spans = [(i, start, end) for i, (start, end) in zip(found.segment.tolist(), found.spans.tolist(), strict=True)]
    sentences = max(1, len(spans))
    inner = min(MOST, sentences)
    return count("word", *spans), sentences - inner + math.ceil(count("word") * inner / sentences)


def refused(request: Request, units: int) -> bool:
    """Whether a method of the request does not take so many units."""
    return any(units > (find(name).info.limit or units) for name in request.methods)


def passes(request: Request, units: int, share: float = 1.0, kept: Collection[Hashable] = ()) -> tuple[int, int]:
    """(forward passes, forward-and-backward passes) for a text of so many units.

    `share` is how much of the text is read anew where one unit is taken out (`anew`); `kept` names what checks need
    not measure any more (`Runner.kept`).
    """
    alone = math.ceil(units * share)
    methods = [find(name).cost(alone if find(name).alone else units) for name in request.methods]
    checked = list(zip(request.methods, methods, strict=True))[: request.checked]
    checks = [c.passes(units, request.orders, *of, kept=kept) for c in chosen(request.checks) for of in checked]
    words = [(alone + 1, 0)] if methods else []  # each word's measured effect
    first = [(alone + 1, 0)] if request.granularity == "hierarchical" else []  # each sentence's; at most as many
    pairs = [(cost_of_pairs(units, request.budget), 0)] if request.interactions else []
    forward, backward = (sum(cost) for cost in zip((1, 0), *methods, *checks, *words, *first, *pairs, strict=True))
    return forward, backward


def options(request: Request, encoding: Encoding) -> int:
    """How many inputs a row of the request is asked with: one for each window, label of one's own, or continuation."""
    return given.passes if (given := request.candidates) else len(encoding.seen or encoding.options) or 1


def length(request: Request, encoding: Encoding) -> int:
    """Tokens of all inputs that one row of the request is asked with."""
    return sum(map(len, encoding.seen)) or len(encoding.tokens.ids) * options(request, encoding)


def longest(encoding: Encoding) -> int:
    """Tokens that the model reads at once, at most."""
    return max(map(len, encoding.windows), default=len(encoding.tokens.ids))


def anew(encoding: Encoding) -> float:
    """Share of a text that is read anew where one word is taken out: of windows, those that hold it."""
    windows = encoding.seen
    return sum(map(len, windows)) / len(windows) / len(encoding.tokens.ids) if windows else 1.0


def beside(runner: Runner, request: Request, encoding: Encoding, units: int, texts: int = 1) -> int | None:
    """Bytes that a request holds at its height beside the loaded weights; None where nothing was learned yet.

    One batch of passes at the token budget, the dearest kind; slopes and attention weights that are kept until they
    are used; a copy of the weights, where a check makes one. `texts` are refined together.
    """
    info, tokens = runner.info, longest(encoding)
    forward, backward = passes(request, units, anew(encoding), runner.kept)
    most = 1 if runner.padding == "single" else max(1, runner.token_budget // tokens)
    heights = []
    for kind in kinds(request, backward):
        found = memory.size(runner, kind)
        if found is None:
            return None
        rows = texts * options(request, encoding) * (1 if kind.maps else backward if kind.backward else forward)
        heights.append(found.of(max(1, min(most, rows)), tokens))
    slopes = 4 * info.d_model * _held(runner, encoding, backward, texts)
    layers = len(request.attention or ()) + 2 * info.n_layers * any(find(name).maps for name in request.methods)
    maps = 4 * texts * layers * info.n_heads * tokens**2
    names = request.methods[: request.checked]
    copying = any(c.copies and not c.known(n, runner.kept) for c in chosen(request.checks) for n in names)
    copies = memory.weights(runner.module) if copying else 0
    return max(heights) + slopes + maps + copies


def _held(runner: Runner, encoding: Encoding, backward: int, texts: int) -> int:
    """Tokens whose slopes are held until they are used; of windows also the vectors and slopes of their parts."""
    whole, windows = len(encoding.tokens.ids), sum(map(len, encoding.seen))
    if not windows or not backward:
        return texts * backward * whole
    together = min(backward, max(1, TOGETHER[True] // whole))
    parts = 3 * max(BATCHES * runner.token_budget, windows)  # where a part of the path begins, ends, and its slopes
    return texts * together * whole + parts


def kinds(request: Request, backward: int) -> Iterator[Pass]:
    """The kinds of passes that a request makes."""
    yield Pass()
    if backward:
        yield Pass(backward=True)
    if request.attention:
        yield Pass(maps=True)
    if any(find(name).maps for name in request.methods):
        yield Pass(backward=True, maps=True)


def require(runner: Runner, requests: Sequence[Request], encodings: Sequence[Encoding]) -> None:
    """Learn what passes of this model hold, and refuse what will not fit; requests that are answered together.

    Raises:
        ModelError: the longest needs more than the share of free memory that a run may take (code not_enough_memory).
    """
    request, encoding = max(zip(requests, encodings, strict=True), key=lambda pair: len(pair[1].tokens.ids))
    if any(find(name).info.limit for name in request.methods) and refused(request, units(request, encoding)[0]):
        return  # in words of its own
    most = int((~encoding.tokens.special).sum())  # units: at most as many as tokens
    memory.learn(runner, list(kinds(request, passes(request, most)[1])))
    needed, have = beside(runner, request, encoding, most, len(requests)), memory.free(runner)
    if needed is None or have is None or needed <= (share := settings().memory_share) * have:
        return
    raise ModelError(
        f"This needs about {spoken(needed)} of memory beside the model's weights, and it may take {share:.0%} of the "
        f"{spoken(have)} that are free. Explain a shorter text, ask for fewer checks and no attention, or set "
        "EXPLAIN_TOKEN_BUDGET lower, which makes smaller batches.",
        code="not_enough_memory",
    )


def spoken(size: float) -> str:
    """Bytes in words."""
    return f"{size / 1000 / MEGABYTE:.1f} GB" if size >= 1000 * MEGABYTE else f"{math.ceil(size / MEGABYTE)} MB"
