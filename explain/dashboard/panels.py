"""The parts of the Explain page below the inputs, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import streamlit as st

from explain import errors
from explain.catalog import Request
from explain.dashboard import evidence, jobs
from explain.dashboard.view.reasons import reasons
from explain.record import Record
from explain.records import Explanation, Kind
from explain.render import computed, figures, heads, html, sentences, spreadsheet
from explain.render import pairs as render_pairs
from explain.render import reasons as render_reasons
from explain.render.pieces import visible
from explain.service import Job, Question, Seen

ATTENTION = "screens/attention_page.py"
CAVEAT = "Where it looks, not why it decided: attention is not an explanation (Jain & Wallace 2019)."
PAIRS = "“not” and “good” do together what neither does alone. Which words of this text do?"


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
    state = evidence.state_of(explanation) or state_of(running)
    data |= {
        "id": explanation.tokens.digest,
        "caption": visible(sentences.verdict(explanation)),
        "strip": visible(" · ".join([state, *(f"{k} {v}" for k, v in computed.how(explanation))])),
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
    st.plotly_chart(figure, width="stretch", key="waterfall", config=config("waterfall"))
    with st.expander("The same numbers as a table"):
        st.html(html.table(("step", explanation.target.unit), figures.steps(explanation)))


def beside(explanation: Explanation) -> None:
    """Several methods on the same words, row by row."""
    if len(explanation.attributions) < 2:
        return
    finding = next((c.sentence for c in explanation.checks if c.name == "agreement" and c.attribution == 0), None)
    st.html(html.heading("The same words by other methods", finding))
    st.plotly_chart(figures.side_by_side(explanation), width="stretch", key="methods", config=config("methods"))
    st.caption("Each row is divided by its own largest score, since methods differ in unit; the table has the numbers.")
    with st.expander("The same numbers as a table"):
        names = [a.method.replace("_", " ") for a in explanation.attributions]
        columns = zip(*(a.scores.tolist() for a in explanation.attributions), strict=True)
        texts = [w.name for w in explanation.words()]
        st.html(html.table(["word", *names], ([t, *map(_number, row)] for t, row in zip(texts, columns, strict=True))))
    found = [c for c in explanation.checks if c.name == "agreement" and c.attribution == 0]
    if found:
        head = ("against", "same word on top", "shared of the three largest", "same signs there", "rank agreement")
        with st.expander("Where they agree"):
            st.html(html.table(head, map(_agreed, found[0].details["pairs"])))


def pairs(explanation: Explanation, request: Request, model: str, *, running: bool) -> None:
    """What pairs of words do together: measured when a person asks, since it costs a thousand passes and more."""
    title = st.empty()
    title.html(html.heading("Words that work together", PAIRS))
    measured = explanation if explanation.interactions is not None else _measured(explanation, request, model, running)
    if measured is None or measured.interactions is None:
        return
    found = measured.interactions
    title.html(html.heading("Words that work together", render_pairs.sentence(measured, found)))
    if not len(found.pairs):
        return
    st.plotly_chart(figures.pair_heatmap(measured, found), width="stretch", key="pairs", config=config("pairs"))
    said = f"{render_pairs.meaning(measured, found)} {render_pairs.colours(measured, found)}"
    st.caption(html.markdown(said))
    with st.expander("The strongest pairs as a table"):
        head = ("pair", f"{found.target.unit} beyond what the two do apart", "± 95 %")
        st.html(html.table(head, render_pairs.rows(measured, found)))


def _measured(explanation: Explanation, request: Request, model: str, running: bool) -> Explanation | None:
    """The same question with pairs; None, and a button or the reason, until there is an answer."""
    text = explanation.tokens.texts[0]
    if running or st.session_state.get("pairs_for") != text:
        about = "Asks the model about many versions of this text with words replaced. Takes some seconds."
        wish, state = "Find words that work together", {"pairs_for": text}
        st.button(wish, help=about, disabled=running, on_click=st.session_state.update, args=(state,))
        return None
    question = replace(request, methods=(), params={}, checks=(), orders=20, interactions=True)
    job = jobs.aside(question, model, "Measuring pairs of words…", timeout=600)
    if isinstance(job, errors.ExplainError) or job.result is None:
        error = job if isinstance(job, errors.ExplainError) else job.error
        st.info(html.markdown(str(error or "The model is busy. Press Explain to look again.")))
        return None
    return job.result


def attention(explanation: Explanation, request: Request, model: str, selected: int | None) -> None:
    """Where one head looks: layer and head picker, words by words; asked and drawn only once it is opened."""
    info = explanation.model
    st.html(html.heading("Where heads look", CAVEAT))
    st.page_link(ATTENTION, label="All heads, and what each does to the decision")
    if not info.n_layers or not info.n_heads:
        st.caption("This model does not say how many layers and heads it has.")
        return
    box = st.expander("One head, word by word", key="one head", on_change="rerun")
    if box.open:
        with box:
            _head(explanation, request, model, selected)


def _head(explanation: Explanation, request: Request, model: str, selected: int | None) -> None:
    info = explanation.model
    one, two = st.columns(2)
    layer = one.slider("Layer", 0, info.n_layers - 1, key="layer") if info.n_layers > 1 else 0
    head = two.slider("Head", 0, info.n_heads - 1, key="head") if info.n_heads > 1 else 0
    kind = of_stack() if info.writes else None
    question = replace(request, methods=(), params={}, checks=(), attention=(layer,), orders=20)
    job = jobs.aside(question, model, "Reading the attention…")
    error = job if isinstance(job, errors.ExplainError) else job.error
    if isinstance(job, errors.ExplainError) or job.result is None or not job.result.attention:
        st.info(html.markdown(str(error or "The model is busy. Move a slider to try again.")))
        return
    maps = next((m for m in job.result.attention if kind in (None, m.kind)), None)
    if maps is None:
        st.info(f"There is no layer {layer} here: the other stack is the deeper one.")
        return
    if head >= len(maps.heads):
        head = 0
    figure = figures.attention_heatmap(job.result, maps, head, None if info.writes else selected)
    off = float(abs(maps.weights[head].sum(-1) - 1).max())
    name = "Cross-" if maps.kind == "cross" else f"{maps.kind.capitalize()} "
    st.plotly_chart(figure, width="stretch", key="attention", config=config("attention"))
    st.caption(f"{name}attention, layer {layer}, head {head}. Rows sum to 1 (largest error {off:.1e}).")
    with st.expander("The same numbers as a table"):
        weights, rows, columns = figures.merged(job.result, maps, head)
        st.html(
            html.table(["", *columns], ([n, *(f"{x:.2f}" for x in row)] for n, row in zip(rows, weights, strict=True)))
        )


def of_stack() -> Kind:
    """Let a person choose whose heads are shown, of a model with an encoder and a decoder."""
    st.session_state.setdefault("kind", "cross")
    kinds = list(heads.KINDS)
    found = st.segmented_control("Whose heads", kinds, key="kind", required=True, format_func=heads.KINDS.__getitem__)
    return cast(Kind, found)


def how(explanation: Explanation, *, running: bool) -> None:
    """How it was computed, and the downloads."""
    st.html(html.heading("How this was computed", None))
    st.html(html.strip(computed.how(explanation), evidence.state_of(explanation) or state_of(running)))
    if running:
        return
    one, two, _ = st.columns([1, 1, 2])
    name = f"whyboard-{explanation.digest[:12]}"
    # Made now: a file that is made when asked for is lost where the pages of others run before it is fetched
    content, table = encoded(explanation), spreadsheet.words_csv(explanation).encode("utf-8-sig")
    one.download_button(
        "Download JSON", content, f"{name}.json", "application/json", on_click="ignore", width="stretch"
    )
    two.download_button("Download CSV", table, f"{name}.csv", "text/csv", on_click="ignore", width="stretch")


def encoded(answer: Record) -> bytes:
    """An answer's JSON. That of the last one is kept: a page is drawn anew at every touch."""
    kept: tuple[str, bytes] = st.session_state.get("encoded", ("", b""))
    if kept[0] != answer.digest:
        kept = st.session_state.encoded = (answer.digest, answer.to_json().encode("utf-8"))
    return kept[1]


def answered(question: Question, model: str, note: str) -> Seen | Explanation | None:
    """The answer, or its error's sentence in its place."""
    return seen(jobs.aside(question, model, note))


def seen(job: Job | errors.ExplainError) -> Seen | Explanation | None:
    """What a job found, or its error's sentence in its place."""
    error = job if isinstance(job, errors.ExplainError) else job.error
    if error is not None:
        problem(error)
        return None
    found = None if isinstance(job, errors.ExplainError) else job.seen or job.result
    if found is None:
        st.info("The model is busy. Press the button to try again.")
    return found


def explained(about: Request, model: str) -> Explanation | None:
    """The explanation of a text, for what is to be filed beside it; its error or a wait stand in its place."""
    found = answered(about, model, "Explaining the same text…")
    return found if isinstance(found, Explanation) else None


def problem(error: errors.ExplainError, model: str = "", method: str = "") -> None:
    """The sentence of an error, where the answer would have been; a gated `method` may be shown all the same."""
    if isinstance(error, errors.Cancelled):
        st.info("Cancelled. Press Explain to start again.")
    else:
        st.warning(html.markdown(str(error)))
    if error.code == "gated" and st.button("Show it anyway"):
        st.session_state.forced = [model, method]
        st.rerun()


def _agreed(pair: Mapping[str, Any]) -> tuple[str, ...]:
    yes = {True: "yes", False: "no"}
    return (
        pair["method"].replace("_", " "),
        yes[pair["same_top"]],
        str(pair["shared"]),
        yes[pair["same_signs"]],
        f"{pair['rank_correlation']:+.2f}".replace("-", "−"),
    )


def _number(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def state_of(running: bool) -> str:
    """What may be claimed about this picture as evidence."""
    return "NOT FILED – view only, neither stored nor signed" + (" · checks not finished" if running else "")


def config(name: str) -> dict[str, object]:
    """Plotly's own buttons, and the name of a downloaded figure."""
    return {"displaylogo": False, "toImageButtonOptions": {"filename": f"whyboard-{name}", "scale": 2}}
