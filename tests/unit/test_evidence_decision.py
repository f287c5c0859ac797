"""The decision in production: what may be supplied, and how it compares with the one explained."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from explain import machine
from explain.audit import building, clock, decisions
from explain.audit.records import Decision
from explain.audit.store import Store
from explain.catalog import Request
from explain.errors import InputError
from explain.records import Notice, Prediction, Target
from tests.examples import explanation

NAN = float("nan")
FOUND = explanation()
"""Decides POSITIVE with probability 0.9241, against NEGATIVE with 0.0759."""
VALUE = dataclasses.replace(
    FOUND,
    prediction=Prediction(("stars",), np.array([31.4159], np.float32), None, "none", "the value", ()),
    target=Target("value", None, "stars", "stars"),
)
CONTINUED = dataclasses.replace(
    FOUND,
    model=dataclasses.replace(FOUND.model, problem="continuation"),
    prediction=Prediction((" a good film", " a bad one"), np.array([-7.25, -9.5], np.float32), None, "none", "", ()),
    target=Target("contrast", 0, "“a good film” rather than “a bad one”", "log-probability", 1, against="“a bad one”"),
)
NAMED = "label not compared: it names the number, and nothing is decided here"
CLOSE = dataclasses.replace(
    FOUND, prediction=dataclasses.replace(FOUND.prediction, probs=np.array([0.4998, 0.5002], np.float32))
)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (None, "not supplied"),
        (Decision(system="old", threshold=0.5), "not supplied"),
        (Decision("POSITIVE", 0.9241), "matches in label and score"),
        (Decision("POSITIVE", 0.92459), "matches in label and score"),
        (Decision("POSITIVE", 0.92461), "differs by 0.00051 in the score"),
        (Decision("POSITIVE"), "matches in label; score not supplied"),
        (Decision("NEGATIVE", 0.0759), "differs by POSITIVE here, NEGATIVE there"),
        (Decision("POSITIVE", 0.9241, 0.5), "matches in label and score"),
        (Decision("POSITIVE", 0.9241, 0.95), "differs by a score below its own threshold 0.95"),
        (Decision("POSITIVE", 0.9239, 0.924), "differs by the side of its threshold 0.924"),
        (Decision("UNKNOWN", 0.0759), "differs by POSITIVE here, UNKNOWN there"),
        (
            Decision(score=0.0759),
            "not compared; label not supplied; score not compared, since no label of this model says whose it is",
        ),
        (Decision(model_sha256="1" * 64), "not compared; label not supplied; score not supplied"),
        (Decision(model_sha256="3" * 64), "differs by another model's weights"),
        (Decision("POSITIVE", model_sha256="1" * 64), "matches in model and label; score not supplied"),
    ],
)
def test_it_is_compared_field_by_field(decision: Decision | None, said: str) -> None:
    assert decisions.compare(FOUND, decision) == said


def test_a_near_tie_on_the_other_side_is_no_match() -> None:
    assert decisions.compare(CLOSE, Decision("POSITIVE", 0.4999, 0.5)) == "differs by the side of its threshold 0.5"


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision("31.416"), "matches in label; score not supplied"),
        (Decision("a lot"), "differs by 31.42 here, a lot there"),
        (Decision(score=31.42), "matches in score; label not supplied"),
        (Decision(score=31.5), "differs by 0.0841 in the score"),
        (Decision("stars", 31.4159), f"matches in score; {NAMED}"),
        (Decision("stars", 31.5), "differs by 0.0841 in the score"),
        (Decision("stars"), f"not compared; {NAMED}; score not supplied"),
        (Decision("stars", model_sha256="1" * 64), f"not compared; {NAMED}; score not supplied"),
    ],
)
def test_a_value_is_compared_as_a_number(decision: Decision, said: str) -> None:
    assert decisions.compare(VALUE, decision) == said


def test_the_text_of_a_continuation_is_no_number_either() -> None:
    text, other = CONTINUED.prediction.labels
    assert decisions.compare(CONTINUED, Decision(text, -7.25)) == f"matches in score; {NAMED}"
    assert decisions.compare(CONTINUED, Decision(other, -9.5)) == f"matches in score; {NAMED}"
    assert decisions.compare(CONTINUED, Decision(other, -7.25)) == "differs by 2.25 in the score"


def test_the_weights_file_itself_may_name_the_model() -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    files = (("base/config.json", "4" * 64), ("base/model.safetensors", digest))
    same = Decision("POSITIVE", model_sha256=digest.upper())
    assert decisions.compare(FOUND, same, lambda: files) == "matches in model and label; score not supplied"
    other = Decision("POSITIVE", model_sha256="4" * 64)
    assert decisions.compare(FOUND, other, lambda: files) == "differs by another model's weights"


@pytest.mark.parametrize(
    "decision",
    [
        *(Decision("POSITIVE", NAN), Decision(score=float("inf")), Decision(score=0.5, threshold=NAN)),
        *(Decision(score=7.0), Decision(score=-0.1), Decision(score=0.5, threshold=1.5)),
        *(Decision("POSITIVE", time="25:99"), Decision("POSITIVE", time="2026-03-01T09:30:00")),
    ],
)
def test_what_cannot_have_been_decided_is_refused(tmp_path: Path, decision: Decision) -> None:
    with pytest.raises(InputError, match="of the decision") as refused:
        Store(tmp_path / "evidence").file(FOUND, decision=decision)
    assert refused.value.code == "bad_decision"


def test_a_value_needs_no_probability_and_a_time_its_offset() -> None:
    decision = Decision(score=7.0, time="2026-03-01T09:30:00+01:00")
    assert decisions.checked(VALUE, decision) == decision


def test_why_the_target_is_the_one_it_is() -> None:
    text = FOUND.tokens.texts
    none = dataclasses.replace(FOUND, prediction=dataclasses.replace(FOUND.prediction, decision=()))
    alone = dataclasses.replace(CONTINUED, target=Target("value", 0, "“a good film”", "log-probability"))
    other = dataclasses.replace(FOUND, target=dataclasses.replace(FOUND.target, index=0, name="NEGATIVE"))
    for found, asked, said in [
        (FOUND, None, "what the model decided"),
        (FOUND, Request(text), "what the model decided"),
        (FOUND, Request(text, target="POSITIVE"), "asked for by name"),
        (FOUND, Request(text, contrast="NEGATIVE"), "asked for by name"),
        (other, None, "asked for by name"),
        (VALUE, None, "the only value that this model gives"),
        (none, None, "the highest outcome; none was decided"),
        (CONTINUED, None, "asked for by name"),
        (CONTINUED, Request(text, continuation=" a good film", contrast=" a bad one"), "asked for by name"),
        (alone, None, "asked for by name"),
        (alone, Request(text, continuation=" a good film"), "asked for by name"),
    ]:
        assert building.content("id", found, asked=asked).why_target == said


def test_what_a_content_says_about_the_text_is_of_this_text() -> None:
    """Values that a constant would get wrong."""
    text = FOUND.tokens.texts[0]
    word = tuple(FOUND.tokens.offsets[3].tolist())
    notices = (Notice("unknown_tokens", "one", 0, (word,)), Notice("small_margin", "two"))
    cut = dataclasses.replace(FOUND.tokens, truncated_at=40)
    content = building.content("id", dataclasses.replace(FOUND, warnings=notices, tokens=cut))
    assert (content.characters, content.kept) == ((len(text),), (40,))
    assert content.flags == ("unknown_tokens", "small_margin")
    assert content.unknown == pytest.approx(1 / len(text.split(" ")))
    assert content.limits == building.LIMITS
    assert building.content("id", explanation("[UNK]")).unknown == 0, "what a person types is no unknown token"


def test_what_a_header_says_is_of_this_record(tmp_path: Path) -> None:
    header = Store(tmp_path / "evidence").file(FOUND).header
    made = FOUND.provenance
    assert (header.began, header.seconds) == (made.created, made.seconds)
    assert header.wording == "2026-11"
    assert "clock" not in header.absent
    assert header.clock == clock.state()
    assert header.environment.filed is not None
    assert header.environment.filed["code_sha256"] == machine.code_sha256()
    package = Path(building.__file__).parents[1]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(package).as_posix()}"
        for path in sorted(package.rglob("*.py"))
        if "_bundled" not in path.parts
    ]
    assert hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest() == machine.code_sha256()


def test_a_request_about_another_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text that was explained") as refused:
        Store(tmp_path / "evidence").file(FOUND, asked=Request(("Another text",)))
    assert refused.value.code == "bad_request"
