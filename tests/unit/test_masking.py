"""Masking: structured identifiers are found, and look-alikes are not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from explain import masking
from explain.masking.recognisers import RECOGNISERS, luhn
from tests import identifiers

LINES = [json.loads(line) for line in identifiers.FILE.read_text("utf-8").splitlines()]


def test_the_committed_set_is_what_its_seed_makes() -> None:
    assert identifiers.made() == LINES
    assert len(LINES) == 500


def test_recall_and_precision_on_the_committed_set() -> None:
    there, found, marked, wrong = Counter(), Counter(), 0, 0  # type: ignore[var-annotated]
    for line in LINES:
        got = masking.recognised(line["text"])
        covered = {i for span in got for i in range(span.start, span.end)}
        for start, end, kind in line["spans"]:
            there[kind] += 1
            found[kind] += set(range(start, end)) <= covered
        marked += len(got)
        wrong += sum(not any(a < s.end and s.start < b for a, b, _ in line["spans"]) for s in got)
    for kind in RECOGNISERS:
        assert there[kind] > 80
        assert found[kind] / there[kind] >= 0.99, kind
    assert wrong / marked <= 0.01


@pytest.mark.parametrize(("kind", "beside", "value"), identifiers.FORMS)
def test_identifiers_as_people_write_them(kind: str, beside: str, value: str) -> None:
    masked = masking.mask(beside.format(value))
    assert masked.text == beside.format(f"[{kind}]")
    assert [masked.text[s.start : s.end] for s in masked.spans] == [f"[{kind}]"]


@pytest.mark.parametrize(
    "text",
    [
        "It cost 1,299.95 on 2026-03-14 at 10:45.",
        "Version 10.4.2, build 20250131, 100 % cotton.",
        "The film has 3 parts, 2 stars and 1 ending; 24/7.",
        "4111 1111 1111 1112 is no card, DE00 1234 5678 9012 3456 78 no account.",
        "300.1.2.3 is no address; 12345678A has the wrong letter.",
        "From 2026-11-25 10.45 to 2026-12-24 18.00, 4 of 17; v10.4.2.1 and 1.192.168.1.1 are versions.",
        "Room 4111\n\n1111 1111 1111 is cut by an empty line.",
        "Built 1700000000 from a3f1c0de4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff0.",
        "",
    ],
)
def test_look_alikes_stay(text: str) -> None:
    assert masking.mask(text) == masking.Masked(text, ())


def test_spans_are_kept_in_the_masked_text() -> None:
    masked = masking.mask("Ask ada@example.org or +49 30 1234567 ; card 4111 1111 1111 1111.")
    assert masked.text == "Ask [EMAIL] or [PHONE] ; card [CARD]."
    assert [masked.text[s.start : s.end] for s in masked.spans] == ["[EMAIL]", "[PHONE]", "[CARD]"]
    assert masking.mask(masked.text).text == masked.text
    assert masking.mask("a@b.example", kinds=("IP",)).text == "a@b.example"
    assert luhn("4111111111111111")


@pytest.mark.parametrize(
    "text", ["1" * 5000, "a@" * 2000, "1 " * 3000, "::" * 2000, "DE12" * 1500, "+1-" * 2000, "x" * 9999,
     "4 " * 50_000, "a@" * 50_000, "!" * 100_000, "0a:" * 33_000, "DE12 " * 20_000, "4111-" * 20_000]
)  # fmt: skip
@pytest.mark.timeout(20)
def test_no_text_hangs_a_recogniser(text: str) -> None:
    assert len(masking.mask(text).text) > 0


def test_masking_on_the_command_line(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    spans = tmp_path / "s.json"
    code, said, more = run("mask", "-", "--spans", str(spans), stdin=b"Mail ada@example.org\n")
    assert (code, said) == (0, "Mail [EMAIL]\n")
    assert "Reduced, not anonymous" in more
    assert json.loads(spans.read_text())["spans"] == [[0, 5, 12, "EMAIL"]]
