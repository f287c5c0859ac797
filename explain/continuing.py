"""Let a model go on with a text, one token after the other, each scored by a plain pass over all before it.

Passes are teacher-forced: they read the prompt and the tokens chosen so far, and keep nothing between them, so the
scores are those that an explanation of the same prefix starts from. A text ends at any token that ends one by the
checkpoint's own settings; where these force the last token to be an end, one token fewer is written, as transformers
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from explain.beams import Beam, search
from explain.bounds import BEAMS, BOUNDS, TOKENS, require_whole
from explain.catalog import Request
from explain.errors import InputError
from explain.generation import GenerateRequest, Generation
from explain.messages import answered
from explain.model import chat, generating
from explain.model.encoding import check_characters
from explain.model.runner import NOTHING, Meter, Runner
from explain.records import Provenance


def continued(runner: Runner, request: GenerateRequest, meter: Meter, provenance: Provenance) -> Generation:
    """Write up to `request.tokens` tokens behind the prompt.

    Raises:
        InputError: the model's task has no next token, a setting is out of bounds, or there is no room for a token.
    """
    _require(runner, request)
    texts = request.texts if request.roles else (request.prompt,)
    asked = runner.asked(Request(texts, roles=request.roles))
    encoding = asked.encode(texts, truncate=request.truncate and bool(runner.begin), meter=meter)
    prompt = encoding.tokens.rendered or request.prompt
    ids = encoding.inputs["input_ids"]
    start, source = len(ids), encoding.source  # a decoder has room of its own
    limit = source + runner.room if source else runner.info.max_tokens
    if start >= limit:
        raise InputError(f"The prompt fills the {limit:,} tokens that this model reads. Shorten it.", code="too_long")
    ends, cut = generating.ends(runner.module, runner.tokenizer), generating.cut(runner.module)
    most = min(request.tokens, limit - start)

    def read(texts: Sequence[np.ndarray]) -> Float64[np.ndarray, "B V"]:
        rows = [replace(encoding.row(NOTHING), inputs=_grown(encoding.inputs, text)) for text in texts]
        outputs = runner.outputs(rows, meter)
        logits = np.concatenate(outputs).astype(np.float64)  # (B, V)
        top = logits.max(1, keepdims=True)
        return logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))

    if request.num_beams > 1:
        forced = max(0, len(runner.begin) - 1)
        beam = search(read, ids, width=request.num_beams, most=most, ends=ends, forced=forced, cut=cut)
    else:
        beam = _one_by_one(read, ids, request, most - cut, ends)
    ids, found = np.append(ids, np.array(beam.ids, dtype=np.int64)), beam.found
    full = len(beam.ids) == most - cut
    stopped = "end" if not full else "room" if most < request.tokens else "length"
    written = ids[start:]
    if encoding.source:
        pieces, readable = _apart(runner, written, meter)
    else:
        pieces, readable = _pieces(runner, None if request.roles else prompt, ids, start, meter)
        readable = _answers(runner, request, pieces, ids, meter) if request.roles else readable
    return Generation(
        model=runner.info,
        prompt=prompt,
        ids=written,
        pieces=pieces,
        log_probs=np.array([p for p, _ in found], dtype=np.float32),
        ranks=np.array([r for _, r in found], dtype=np.int32),
        readable=np.array(readable, dtype=bool),
        settings={
            "tokens": request.tokens,
            "seed": request.seed,
            "temperature": request.temperature,
            "num_beams": request.num_beams,
            "truncate": request.truncate,
        },
        stopped=stopped,  # type: ignore[arg-type]
        provenance=provenance,
        apart=encoding.source > 0,
        texts=request.texts,
        roles=request.roles,
    )


def _one_by_one(
    read: Callable[[Sequence[np.ndarray]], Float64[np.ndarray, "B V"]],
    ids: np.ndarray,
    request: GenerateRequest,
    most: int,
    ends: frozenset[int],
) -> Beam:
    """The likeliest token each time, or one drawn with the request's seed."""
    rng = None if request.seed is None else np.random.default_rng(request.seed)
    beam = Beam()
    for _ in range(most):
        (logp,) = read([np.append(ids, np.array(beam.ids, dtype=np.int64))])  # (V,)
        index = int(logp.argmax()) if rng is None else _drawn(logp / request.temperature, rng)
        if index in ends:
            return replace(beam, total=beam.total + float(logp[index]), ended=True)
        found = float(logp[index]), int((logp > logp[index]).sum()) + 1
        beam = Beam((*beam.ids, index), (*beam.found, found), beam.total + found[0])
    return beam


def _require(runner: Runner, request: GenerateRequest) -> None:
    if not runner.task.goes_on:
        raise InputError(
            f"This model does {runner.info.task}, so it cannot go on with a text. Use a causal language model such as "
            "the bundled 'tales', or one that translates or summarises.",
            code="bad_task",
        )
    require_whole("tokens", request.tokens, 1, TOKENS)
    require_whole("num_beams", request.num_beams, 1, BEAMS)
    if request.num_beams > 1 and request.seed is not None:
        raise InputError("Beam search draws nothing. Give a seed or num_beams, not both.", code="bad_num_beams")
    if request.seed is not None:
        require_whole("seed", request.seed, *BOUNDS["seed"])
    heat = request.temperature
    if isinstance(heat, bool) or not isinstance(heat, (int, float)) or not 0.01 <= heat <= 100:
        raise InputError(f"temperature must be a number from 0.01 to 100, got {heat!r:.40}.", code="bad_temperature")


def _grown(inputs: Mapping[str, np.ndarray], ids: np.ndarray) -> dict[str, np.ndarray]:
    """The model's inputs for more ids; what else it is given repeats its last value."""
    return {
        name: ids if name == "input_ids" else np.pad(array, (0, len(ids) - len(array)), mode="edge")
        for name, array in inputs.items()
    }


def _drawn(logits: Float64[np.ndarray, "V"], rng: np.random.Generator) -> int:
    shares = np.exp(logits - logits.max())
    return int(rng.choice(len(shares), p=shares / shares.sum()))


def _pieces(
    runner: Runner, prompt: str | None, ids: np.ndarray, start: int, meter: Meter
) -> tuple[tuple[str, ...], list[bool]]:
    """What each new token adds to the text, and whether the text up to and with it is read as the same tokens.

    Without a prompt nothing is read again. Raises Cancelled, since a long text is read as often as it has tokens.
    """
    read = runner.tokenizer
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    first = before = read.decode(ids[:start], **options)
    pieces, readable = [], []
    for count in range(start + 1, len(ids) + 1):
        meter.check()
        text = read.decode(ids[:count], **options)
        whole = before if text.endswith("\ufffd") else text  # half a character is written with its other half
        pieces.append(whole[len(before) :])
        before = whole
        if prompt is not None:
            again = read(prompt + whole[len(first) :])["input_ids"]
            readable.append(list(again) == ids[:count].tolist())
    return tuple(pieces), readable


def _answers(
    runner: Runner, request: GenerateRequest, pieces: tuple[str, ...], ids: np.ndarray, meter: Meter
) -> list[bool]:
    """Whether the conversation with the answer up to and with each token is read as the same tokens.

    What the template changes, or refuses behind such an answer, is not; nor is an answer of white space alone.
    """
    start, found = len(ids) - len(pieces), [False] * len(pieces)
    answers = ["".join(pieces[: i + 1]) for i in range(len(pieces))]
    plain = [i for i, answer in enumerate(answers) if answer.strip()]
    talks = [answered(request.texts, request.roles, answers[i]) for i in plain]
    each: Iterable[list[int] | None] = (
        chat.read(runner.tokenizer, [texts for texts, _ in talks], talks[0][1], meter) if talks else ()
    )
    for i, again in zip(plain, each, strict=True):
        meter.check()
        found[i] = again == ids[: start + i + 1].tolist()
    return found


def _apart(runner: Runner, written: np.ndarray, meter: Meter) -> tuple[tuple[str, ...], list[bool]]:
    """`_pieces` of a text of its own. Control tokens are written out: they are what the decoder read.

    What the encoder read of the prompt is the same each time, so only what is written is read again.
    """
    pieces, readable, before = [], [], ""
    for count in range(1, len(written) + 1):
        meter.check()
        text = runner.tokenizer.decode(written[:count], clean_up_tokenization_spaces=False)
        whole = text if text.startswith(before) and not text.endswith("\ufffd") else before
        pieces.append(whole[len(before) :])
        before = whole
        try:
            check_characters((whole,))
        except InputError:  # nothing, or more than may be asked about
            readable.append(False)
        else:
            readable.append(runner.tokenize(whole).tolist() == written[:count].tolist())
    return tuple(pieces), readable
