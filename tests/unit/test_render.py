"""Renderings: text is reproduced and escaped, numbers are the record's own, colours keep their contrast."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from explain.engine import Model
from explain.records import Explanation
from explain.render import figures, html, palette, pieces, reasons, spreadsheet

HOSTILE = "</script><img src=x onerror=alert(1)> good <b>movie</b> $x$ **bad** & \u202e done"


@pytest.fixture(scope="module")
def result(tiny: Model) -> Explanation:
    return tiny.explain(
        "a good movie, but never very funny or charming", checks=("completeness", "baseline", "removal")
    )


@pytest.fixture(scope="module")
def hostile(tiny: Model) -> Explanation:
    return tiny.explain(HOSTILE, checks=())


def test_pieces_give_the_text_back(hostile: Explanation, tiny: Model) -> None:
    for explanation in (hostile, tiny.explain("  two   spaces\n and\ta tab  ", checks=())):
        found = pieces.pieces(explanation.tokens, explanation.attributions[0], 0)
        assert "".join(p.raw for p in found) == explanation.tokens.texts[0]
    text = "a good movie " * 60
    cut = tiny.explain(text, checks=(), truncate=True)
    found = pieces.pieces(cut.tokens, cut.attributions[0], 0)
    assert "".join(p.raw for p in found) == text
    assert found[-1].kind == "unread"
    assert found[-1].raw == text[cut.tokens.truncated_at :]


def test_unseen_characters_become_codes(hostile: Explanation) -> None:
    assert pieces.visible("a\u202eb\x07c") == "a[U+202E]b[U+0007]c"
    assert pieces.visible("o" + "\u0323" * 1000 + "d") == "o" + "\u0323" * 8 + "[992 marks]d"
    assert pieces.visible("👨‍👩‍👧 naïve\n") == "👨‍👩‍👧 naïve\n"


def test_payload_is_plain_and_adds_up(result: Explanation) -> None:
    data = reasons.payload(result)
    scores = [w["value"] for w in data["words"]]
    assert scores == [float(s) for s in result.attributions[0].scores]
    assert data["total"].replace("−", "-") == f"{sum(scores) + result.attributions[0].special:+.2f}"
    turn = 1 if result.target.index == 1 else -1
    for word in data["words"]:
        assert word["tint"] == pytest.approx(turn * word["value"] / palette.scale_limit(result.attributions[0]))
        assert abs(word["tint"]) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a film", "ltr"), ("הסרט good", "rtl"), ("«فيلم» good", "rtl"), ("12 good فيلم", "ltr"), ("…", "ltr")],
)
def test_direction_follows_the_first_letter(text: str, expected: str) -> None:
    assert reasons.direction(text) == expected


def test_fixed_scale_widens_only_when_exceeded(result: Explanation) -> None:
    attribution = result.attributions[0]
    small = replace(attribution, scores=attribution.scores * 1e-3)
    large = replace(attribution, scores=attribution.scores / np.abs(attribution.scores).max() * 5)
    assert palette.scale_limit(small) == palette.FIXED_SCALE
    assert palette.scale_limit(large) == pytest.approx(5)
    assert palette.scale_limit(small, fixed=False) == pytest.approx(float(np.abs(small.scores).max()))


def test_a_colour_belongs_to_a_class(tiny: Model) -> None:
    text = "a good movie, but never very funny"
    a, b = (tiny.explain(text, target=t, checks=()) for t in ("NEGATIVE", "POSITIVE"))
    for x, y in zip(reasons.payload(a)["words"], reasons.payload(b)["words"], strict=True):
        assert x["tint"] == pytest.approx(y["tint"], abs=1e-5)
    assert palette.sides(a, a.attributions[0]) == palette.sides(b, b.attributions[0]) == ("NEGATIVE", "POSITIVE")


@pytest.mark.parametrize("theme", [("#ffffff", "#16191d"), ("#111418", "#e8ebef")])
@pytest.mark.parametrize("colour", [palette.BLUE, palette.ORANGE])
def test_text_on_every_tint_keeps_its_contrast(theme: tuple[str, str], colour: str) -> None:
    background, ink = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for c in theme)
    strong = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    for share in np.linspace(0, palette.STRONGEST, 20):
        tint = share * strong + (1 - share) * background
        light, dark = sorted((luminance(tint), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_html_is_escaped_everywhere(hostile: Explanation) -> None:
    labels = ("<img src=x onerror=alert(1)>", "B&B")
    evil = replace(hostile, prediction=replace(hostile.prediction, labels=labels))
    parts = [
        html.text(HOSTILE),
        html.verdict(HOSTILE, [HOSTILE, None]),
        html.classes(evil),
        html.heading(HOSTILE, HOSTILE),
        html.strip([(HOSTILE, HOSTILE)], HOSTILE),
        html.table([HOSTILE], [[HOSTILE]]),
        html.notices(hostile.warnings),
    ]
    for part in parts:
        tags = set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", part))
        assert not tags & {"script", "img", "b", "svg"}, part
        assert "\u202e" not in part


def test_markdown_is_escaped() -> None:
    for sign in "*_`[](){}<>$:#~|\\":
        assert html.markdown(f"a{sign}b") == f"a\\{sign}b"


def test_waterfall_starts_at_the_baseline_and_ends_at_the_text(result: Explanation) -> None:
    attribution, figure = result.attributions[0], figures.waterfall(result)
    assert figure is not None
    x = list(figure.data[0].x)
    assert x[0] == attribution.value_baseline
    assert sum(x[:-1]) == pytest.approx(attribution.value_input, abs=1e-6)
    assert x[-1] == attribution.value_input
    assert len(figures.steps(result)) == len(x)


@pytest.mark.parametrize(
    ("values", "room"),
    [
        ([-7.0, 3.0, 1.0, -3.0], True),  # the baseline itself goes left
        ([-1.0, 8.0, 7.0], True),
        ([0.5, -4.0, -3.5], True),  # a word takes the sum below zero
        ([4.0, -3.8, 1.0, 1.2], True),  # a word that ends beside the axis
        ([1.0, 3.0, -1.0, 3.0], False),  # one that ends far from it
        ([1.0, 3.0, 4.0], False),
    ],
)
def test_no_number_of_the_waterfall_stands_on_a_name(result: Explanation, values: list[float], room: bool) -> None:
    attribution = result.attributions[0]
    assert (figures._standoff(values) > 0) == room
    scores = np.full(len(attribution.scores), -0.5, dtype=np.float32)
    low = replace(attribution, scores=scores, value_baseline=-3.0, value_input=-3.0 + float(scores.sum()))
    figure = figures.waterfall(replace(result, attributions=(low,)))
    assert figure is not None
    assert figure.layout.yaxis.ticklabelstandoff == figures.BESIDE


def test_labels_of_figures_are_literal(hostile: Explanation) -> None:
    figure = figures.waterfall(hostile)
    assert figure is not None
    assert not any("<" in t or "$" in t for t in figure.layout.yaxis.ticktext)


def test_attention_rows_still_sum_to_one(tiny: Model) -> None:
    explanation = tiny.explain("unbelievably funny movie-making", attention=[0, 1], checks=())
    assert explanation.attention is not None
    for maps in explanation.attention:
        for head in maps.heads:
            weights, names, columns = figures.merged(explanation, maps, head)
            assert np.allclose(weights.sum(1), 1, atol=1e-5)
            assert (len(names), len(columns)) == weights.shape
    assert names[0] == "[CLS]"
    assert "unbelievably" in names
    assert figures.attention_heatmap(explanation, explanation.attention[0], 0, selected=1).data


def test_methods_side_by_side_keep_their_own_numbers(tiny: Model) -> None:
    several = tiny.explain("a good movie, but never very funny", methods=["integrated_gradients", "occlusion"])
    figure = figures.side_by_side(several)
    turn = palette.direction(several, several.attributions[0])
    for row, attribution in enumerate(several.attributions):
        scores = attribution.scores.astype(float)
        assert np.allclose(figure.data[0].customdata[row], scores)
        assert np.allclose(figure.data[0].z[row], turn * scores / np.abs(scores).max(), atol=1e-4)


def test_removal_curves_show_the_weakest_measurement(result: Explanation) -> None:
    for check in (c for c in result.checks if "measurements" in c.details):
        figure = figures.removal_curves(check)
        worst = min(check.details["measurements"], key=lambda r: r["percentile"])
        assert list(figure.data[1].y) == worst["curve"]


def test_csv_reads_back_and_runs_nothing(tiny: Model) -> None:
    explanation = tiny.explain("=cmd +good -bad @fun", checks=())
    rows = list(csv.DictReader(io.StringIO(spreadsheet.words_csv(explanation))))
    words = explanation.words()
    assert [float(r["score"]) for r in rows[:-1]] == [w.score for w in words]
    assert float(rows[-1]["score"]) == explanation.attributions[0].special
    assert all(not r["text"].startswith(("=", "+", "-", "@")) for r in rows)


def test_other_methods_render_too(tiny: Model) -> None:
    explanation = tiny.explain("a good movie", methods=["saliency", "occlusion", "gradient_shap"], checks=())
    assert figures.waterfall(explanation, 0) is None
    assert figures.waterfall(explanation, 2) is not None
    for index in range(3):
        data = reasons.payload(explanation, index, fixed_scale=index > 0)
        assert len(data["words"]) == 3
    assert reasons.payload(explanation, 0)["legend"]["signed"] is False
