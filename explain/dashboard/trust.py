"""Does this picture match the model? The three questions, and the numbers behind their answers."""

from __future__ import annotations

import streamlit as st

from explain.dashboard import panels
from explain.records import Check, Explanation
from explain.render import figures, html, sentences


def trust(explanation: Explanation, *, running: bool) -> None:
    """The three questions, and the curves behind the second."""
    st.html(html.heading("Does this picture match the model?", None))
    st.html(html.questions(sentences.questions(explanation), running=running))
    curves = [c for c in explanation.checks if "measurements" in c.details and c.attribution == 0]
    if not curves:
        return
    done = st.session_state.get("thorough_for") == explanation.tokens.texts[0]
    about = "200 random orders instead of 20, and every check there is. Takes some seconds; gives verdicts."
    if not running and not done and st.button("Check thoroughly", help=about):
        st.session_state.thorough_for = explanation.tokens.texts[0]
        st.rerun()
    box = st.expander("Taking words out: the curves", key="curves", on_change="rerun")
    if box.open:  # charts that nobody sees would be half of what a browser draws
        with box:
            for check in curves:
                _curve(check)
    tried = next((c for c in explanation.checks if c.name == "baselines" and c.attribution == 0 and c.details), None)
    if tried is not None:
        box = st.expander("The same method against every baseline", key="every baseline", on_change="rerun")
        if box.open:
            with box:
                _baselines(explanation, tried)


def _curve(check: Check) -> None:
    row = figures.weakest(check)
    st.html(
        html.heading(
            check.name.capitalize(), f"Weakest of the measurements: {row['scale']}, by {row['replacement']}.", level=4
        )
    )
    st.plotly_chart(
        figures.removal_curves(check), width="stretch", key=f"curve-{check.name}", config=panels.config(check.name)
    )
    area = "deletion_area" if check.name == "comprehensiveness" else "insertion_area"
    called = area.replace("_", " ")
    head = ("scale", "replaced by", "these scores", "random", "leave-one-out", "better than", called, "random’s")
    rows = [
        (
            r["scale"],
            r["replacement"],
            f"{r['ours']:.3f}",
            f"{r['random']:.3f}",
            "" if r["leave_one_out"] is None else f"{r['leave_one_out']:.3f}",
            "cannot tell" if r["percentile"] is None else f"{r['percentile']:.0%}",
            f"{r[area]:.3f}",
            f"{r[f'random_{area}']:.3f}",
        )
        for r in check.details["measurements"]
    ]
    st.html(html.table(head, rows))


def _baselines(explanation: Explanation, check: Check) -> None:
    """One row a baseline: the scores as colours, and what the model says of the baseline itself."""
    table = check.details["table"]
    rows = {name: row["scores"] for name, row in table.items()}
    figure = figures.rows_of_words(explanation, rows)
    st.plotly_chart(figure, width="stretch", key="baselines", config=panels.config("baselines"))
    st.caption("Each row is divided by its own largest score.")
    words = [w.text for w in explanation.words()]
    unit = explanation.target.unit
    head = ("baseline", f"its own {unit}", "word on top", "words whose sign turns", "rank agreement")
    st.html(
        html.table(
            head,
            (
                (
                    name + (" (used)" if name == check.details["used"] else ""),
                    sentences.signed(row["value_baseline"]),
                    words[row["top"]],
                    ", ".join(words[u] for u in row["signs_turned"]) or "none",
                    sentences.signed(row["rank_correlation"]),
                )
                for name, row in table.items()
            ),
        )
    )
