"""The parts of the Explain page below the inputs, in the order in which they stand."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from explain import errors
from explain.catalog import Request
from explain.dashboard import jobs
from explain.dashboard.view.reasons import reasons
from explain.records import Check, Explanation
from explain.render import figures, html, sentences, spreadsheet
from explain.render import reasons as render_reasons
from explain.render.pieces import visible
from explain.service import Question, Seen

CAVEAT = "Where it looks, not why it decided: attention is not an explanation (Jain & Wallace 2019)."


def decision(explanation: Explanation) -> None:
    """What the model decided, on what, and what must be known about the input."""
    lines: list[str | None] = []
    if explanation.attributions:
        lines.append(sentences.reasons(explanation))
        lines.append(sentences.without(explanation))
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.html(html.verdict(sentences.verdict(explanation), lines))
    with right:
        st.html(html.classes(explanation))
    if notes := html.notices(explanation.warnings):
        st.html(notes)


def words(explanation: Explanation, *, fixed_scale: bool, running: bool) -> int | None:
    """Scored words, legend and table; returns the selected word."""
    mine = [c for c in explanation.checks if c.attribution == 0]
    failed = [c for c in mine if c.status == "fail"]
    for check in failed:
        st.error(f"{check.name.capitalize()}: {html.markdown(check.sentence)}")
    data = render_reasons.payload(explanation, fixed_scale=fixed_scale, failed=bool(failed))
    data |= {
        "id": explanation.tokens.digest,
        "caption": visible(sentences.verdict(explanation)),
        "strip": visible(" · ".join([state_of(running), *(f"{k} {v}" for k, v in sentences.how(explanation))])),
        "fileName": f"whyboard-{explanation.digest[:12]}.png",
    }
    st.html(html.heading("Why: the score of each word", sentences.meaning(explanation)))
    return reasons(data, key="reasons")


def change(explanation: Explanation) -> None:
    """The waterfall from the baseline to this text, with its numbers."""
    figure = figures.waterfall(explanation)
    if figure is None:
        return
    st.html(html.heading("How the scores add up", sentences.sum_up(explanation)))
    st.plotly_chart(figure, width="stretch", key="waterfall", config=_config("waterfall"))
    with st.expander("The same numbers as a table"):
        st.html(html.table(("step", explanation.target.unit), figures.steps(explanation)))


def beside(explanation: Explanation) -> None:
    """Several methods on the same words, row by row."""
    if len(explanation.attributions) < 2:
        return
    finding = next((c.sentence for c in explanation.checks if c.name == "agreement" and c.attribution == 0), None)
    st.html(html.heading("The same words by other methods", finding))
    st.plotly_chart(figures.side_by_side(explanation), width="stretch", key="methods", config=_config("methods"))
    st.caption("Each row is divided by its own largest score, since methods differ in unit; the table has the numbers.")
    with st.expander("The same numbers as a table"):
        names = [a.method.replace("_", " ") for a in explanation.attributions]
        columns = zip(*(a.scores.tolist() for a in explanation.attributions), strict=True)
        texts = [w.text for w in explanation.words()]
        st.html(html.table(["word", *names], ([t, *map(_number, row)] for t, row in zip(texts, columns, strict=True))))


def trust(explanation: Explanation, *, running: bool) -> None:
    """The three questions, and the curves behind the second."""
    st.html(html.heading("Does this picture match the model?", None))
    st.html(html.questions(sentences.questions(explanation)))
    curves = [c for c in explanation.checks if "measurements" in c.details and c.attribution == 0]
    if not curves:
        return
    done = st.session_state.get("thorough_for") == explanation.tokens.texts[0]
    about = "200 random orders instead of 20, and every check there is. Takes some seconds; gives verdicts."
    if not running and not done and st.button("Check thoroughly", help=about):
        st.session_state.thorough_for = explanation.tokens.texts[0]
        st.rerun()
    with st.expander("Taking words out: the curves"):
        for check in curves:
            _curve(check)


def _curve(check: Check) -> None:
    row = min(check.details["measurements"], key=lambda r: r["percentile"])
    st.html(
        html.heading(
            check.name.capitalize(), f"Weakest of the measurements: {row['scale']}, by {row['replacement']}.", level=4
        )
    )
    st.plotly_chart(
        figures.removal_curves(check), width="stretch", key=f"curve-{check.name}", config=_config(check.name)
    )
    head = ("scale", "replaced by", "these scores", "random", "leave-one-out", "better than")
    rows = [
        (
            r["scale"],
            r["replacement"],
            f"{r['ours']:.3f}",
            f"{r['random']:.3f}",
            "" if r["leave_one_out"] is None else f"{r['leave_one_out']:.3f}",
            f"{r['percentile']:.0%}",
        )
        for r in check.details["measurements"]
    ]
    st.html(html.table(head, rows))


def attention(explanation: Explanation, request: Request, model: str, selected: int | None) -> None:
    """Where one head looks: layer and head picker, words by words."""
    info = explanation.model
    st.html(html.heading("Where heads look", CAVEAT))
    if not info.n_layers or not info.n_heads:
        st.caption("This model does not say how many layers and heads it has.")
        return
    one, two = st.columns(2)
    layer = one.slider("Layer", 0, info.n_layers - 1, key="layer") if info.n_layers > 1 else 0
    head = two.slider("Head", 0, info.n_heads - 1, key="head") if info.n_heads > 1 else 0
    question = replace(request, methods=(), params={}, checks=(), attention=(layer,), orders=20)
    job = jobs.aside(question, model, "Reading the attention…")
    error = job if isinstance(job, errors.ExplainError) else job.error
    if isinstance(job, errors.ExplainError) or job.result is None or not job.result.attention:
        st.info(html.markdown(str(error or "The model is busy. Move a slider to try again.")))
        return
    maps = job.result.attention[0]
    if head >= len(maps.heads):
        head = 0
    figure = figures.attention_heatmap(job.result, maps, head, selected)
    off = float(abs(maps.weights[head].sum(-1) - 1).max())
    st.plotly_chart(figure, width="stretch", key="attention", config=_config("attention"))
    st.caption(
        f"{maps.kind.capitalize()} attention, layer {layer}, head {head}. Rows sum to 1 (largest error {off:.1e})."
    )
    with st.expander("The same numbers as a table"):
        weights, names = figures.merged(job.result, maps.weights[head])
        st.html(
            html.table(["", *names], ([n, *(f"{x:.2f}" for x in row)] for n, row in zip(names, weights, strict=True)))
        )


def how(explanation: Explanation, *, running: bool) -> None:
    """How it was computed, and the downloads."""
    st.html(html.heading("How this was computed", None))
    st.html(html.strip(sentences.how(explanation), state_of(running)))
    if running:
        return
    one, two, _ = st.columns([1, 1, 2])
    name = f"whyboard-{explanation.digest[:12]}"
    one.download_button(
        "Download JSON", explanation.to_json(), f"{name}.json", "application/json", on_click="ignore", width="stretch"
    )
    two.download_button(
        "Download CSV",
        spreadsheet.words_csv(explanation).encode("utf-8-sig"),
        f"{name}.csv",
        "text/csv",
        on_click="ignore",
        width="stretch",
    )


def answered(question: Question, model: str, note: str) -> Seen | None:
    """The answer, or its error's sentence in its place."""
    job = jobs.aside(question, model, note)
    error = job if isinstance(job, errors.ExplainError) else job.error
    if error is not None:
        problem(error)
        return None
    if isinstance(job, errors.ExplainError) or job.seen is None:
        st.info("The model is busy. Press the button to try again.")
        return None
    return job.seen


def problem(error: errors.ExplainError) -> None:
    """The sentence of an error, where the answer would have been."""
    if isinstance(error, errors.Cancelled):
        st.info("Cancelled. Press Explain to start again.")
    else:
        st.warning(html.markdown(str(error)))


def _number(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def state_of(running: bool) -> str:
    """What may be claimed about this picture as evidence."""
    return "NOT FILED – view only, neither stored nor signed" + (" · checks not finished" if running else "")


def _config(name: str) -> dict[str, object]:
    return {"displaylogo": False, "toImageButtonOptions": {"filename": f"whyboard-{name}", "scale": 2}}
