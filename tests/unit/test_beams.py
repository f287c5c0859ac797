"""Beam search: the best text of all where it keeps all, transformers' own where it does not, the same each time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from explain.beams import Beam, search
from explain.engine import Model
from explain.errors import InputError
from explain.render import written

PROMPT = "Once upon a time there was a"
WORDS, END, STEPS = 4, 3, 4
SEVERAL = ({END}, {END, 1}, {0, 1, END})


def chances(seed: int):  # type: ignore[no-untyped-def]
    """A model of a few tokens whose next one depends on all before it."""
    weights = np.random.default_rng(seed).normal(0, 2, (STEPS + 2, WORDS, WORDS))

    def read(texts: Sequence[np.ndarray]) -> np.ndarray:
        z = np.array([sum(weights[i, t] for i, t in enumerate(text)) for text in texts])
        return z - np.log(np.exp(z).sum(1, keepdims=True))

    return read


def everything(read, start: np.ndarray, ends: set[int]) -> dict[tuple[tuple[int, ...], bool], float]:  # type: ignore[no-untyped-def]
    """Every text that there is, ended or of the full length, with the log-probability of its likeliest end."""
    found: dict[tuple[tuple[int, ...], bool], float] = {}
    for length in range(STEPS + 1):
        for ids in itertools.product(range(WORDS), repeat=length):
            if ends & {*ids[:-1]} or (length < STEPS and not ends & {*ids[-1:]}):
                continue
            steps = [float(read([np.append(start, ids[:k]).astype(int)])[0][ids[k]]) for k in range(length)]
            over = bool(ends & {*ids[-1:]})
            text = ids[:-1] if over else ids, over
            found[text] = max(sum(steps), found.get(text, -np.inf))
    return found


@pytest.mark.parametrize("ends", SEVERAL)
@pytest.mark.parametrize("seed", range(12))
def test_with_room_for_all_it_finds_the_best_of_all(seed: int, ends: set[int]) -> None:
    read, start = chances(seed), np.array([seed % END])
    known = everything(read, start, ends)
    best = max(known, key=lambda k: known[k] / (len(k[0]) + k[1]))
    found = search(read, start, width=WORDS**STEPS, most=STEPS, ends=ends)
    assert (found.ids, found.ended) == best
    assert found.total == pytest.approx(known[best])
    assert sum(p for p, _ in found.found) <= 0


@pytest.mark.parametrize("seed", range(6))
def test_one_beam_takes_the_likeliest_each_time(seed: int) -> None:
    read, start = chances(seed), np.array([0])
    ids: tuple[int, ...] = ()
    while len(ids) < STEPS:
        token = int(read([np.append(start, ids).astype(int)])[0].argmax())
        if token == END:
            break
        ids += (token,)
    found = search(read, start, width=1, most=STEPS, ends={END})
    assert found.ids[: len(ids)] == ids
    assert all(rank == 1 for _, rank in found.found[: len(ids)])


@pytest.mark.parametrize("seed", range(6))
def test_where_the_last_token_is_forced_to_be_an_end_all_texts_end(seed: int) -> None:
    read, start = chances(seed), np.array([0])
    whole = everything(read, start, {END})
    known = {ids: p for (ids, over), p in whole.items() if over and len(ids) < STEPS - 1}
    for ids in itertools.product(range(END), repeat=STEPS - 1):  # its end is no decision, and costs nothing
        known[ids] = sum(float(read([np.append(start, ids[:k]).astype(int)])[0][ids[k]]) for k in range(len(ids)))
    best = max(known, key=lambda ids: known[ids] / (len(ids) + 1))
    found = search(read, start, width=WORDS**STEPS, most=STEPS, ends={END}, cut=True)
    assert (found.ids, found.ended) == (best, True)
    assert found.total == pytest.approx(known[best])


def test_the_token_that_ends_a_text_counts() -> None:
    assert Beam((1,), ((-1.0, 1),), -3.0, ended=True).score == -1.5
    assert Beam((1,), ((-1.0, 1),), -1.0).score == -1.0
    assert Beam().score == 0.0
    assert Beam((1,), ((-1.0, 1),), -3.0, forced=2).score == -1.0


@pytest.mark.parametrize("width", [2, 4])
def test_transformers_finds_the_same(teller: Model, width: int) -> None:
    found = teller.generate(PROMPT, tokens=8, num_beams=width)
    ids = torch.tensor([teller.tokenizer(PROMPT)["input_ids"]])
    options = {"max_new_tokens": 8, "num_beams": width, "do_sample": False, "use_cache": False, "pad_token_id": 0}
    theirs = teller.module.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :]  # type: ignore[operator]
    theirs = [int(i) for i in theirs if int(i) != teller.tokenizer.eos_token_id]
    assert found.ids.tolist() == theirs
    assert found.settings["num_beams"] == width


def test_a_text_of_beams_is_at_least_as_likely_and_the_same_each_time(teller: Model) -> None:
    greedy, beams, again = (teller.generate(PROMPT, tokens=8, num_beams=n) for n in (1, 5, 5))
    assert beams.ids.tolist() == again.ids.tolist()
    assert beams.log_prob / len(beams.ids) >= greedy.log_prob / len(greedy.ids) - 1e-6
    assert len(beams.log_probs) == len(beams.ranks) == len(beams.ids)
    assert "a search with 5 beams" in written.summary(beams)
    one = teller.explain_generation(beams, places=beams.explainable[:1])[0]
    assert one.target.index == beams.ids[0]


@pytest.mark.parametrize(
    "wrong", [{"num_beams": 0}, {"num_beams": True}, {"num_beams": 99}, {"num_beams": 2, "seed": 1}]
)
def test_wrong_beams_are_refused(teller: Model, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        teller.generate(PROMPT, **wrong)  # type: ignore[arg-type]
    assert caught.value.code == "bad_num_beams"


def test_the_command_line_searches(run, teller_folder) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("generate", PROMPT, "--model", str(teller_folder), "--tokens", "3", "--beams", "3", "--explain")
    assert code == 0
    assert "search with 3 beams" in out
    assert "largest scores" in out
    assert "tokens explained" in out
