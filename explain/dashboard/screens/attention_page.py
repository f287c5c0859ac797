"""Attention: which head looks where, and whether that matters for the decision."""

from __future__ import annotations

from dataclasses import replace
from typing import cast, get_args

import numpy as np
import streamlit as st

from explain import bundled
from explain.audit.records import Beside
from explain.catalog import Request
from explain.dashboard import ask, evidence, frames, jobs, link, options, panels
from explain.dashboard.view import heads as view
from explain.errors import ExplainError
from explain.heads import CAVEAT, Ablation, HeadMap, HeadRequest, HeadsReport, HeadsRequest
from explain.records import Explanation
from explain.render import bertviz, heads, html, sentences
from explain.units import word_spans

HEAD, LAYER = "This head", "Mean of the layer's heads"
SHORT = 64
"""Words up to which the effects of heads are measured without being asked for."""
MASKABLE = 128
"""Words up to which they can be hidden one by one."""
SHOWN = 24
"""Words that get a bar in the section on all layers."""


def every_head(report: HeadsReport) -> tuple[int, int]:
    """The grid of all heads; returns the one that is open."""
    st.html(
        html.heading(
            "Every head at a glance", heads.meaning(report, st.session_state.heads_by) + heads.left_out(report)
        )
    )
    st.segmented_control(
        "Colour by", heads.QUANTITIES, key="heads_by", required=True, format_func=str.capitalize,
        label_visibility="collapsed",
    )  # fmt: skip
    if report.effects is None and report.unmeasured:
        st.caption(html.markdown(heads.meaning(report, heads.EFFECT)))
    layers, count = next(iter(report.statistics.values())).shape
    clicked = (st.session_state.get("grid") or {}).get("chosen")  # known before the grid is drawn, which shows it
    layer, head = clicked or st.session_state.get("open_head") or heads.strongest(report)
    chosen = (min(layer, layers - 1), min(head, count - 1))
    found = view.grid(heads.grid(report, st.session_state.heads_by, chosen), key="grid")
    st.session_state.open_head = found
    return found


def one_head(report: HeadsReport, about: Request, model: str, layer: int, head: int, masked: tuple[int, ...]) -> None:
    """The chosen head's map, its strongest links, and how one of its weights comes about."""
    st.html(html.heading(f"Layer {layer}, head {head}", heads.about_head(report, layer, head)))
    whole = st.session_state.get("combine") == LAYER
    found = panels.answered(HeadRequest(about, layer, None if whole else head, masked), model, "Reading the head…")
    if not isinstance(found, HeadMap):
        return
    st.segmented_control(
        "Heads", [HEAD, LAYER], key="combine", required=True, default=HEAD, label_visibility="collapsed"
    )
    one, two, three = st.columns([2, 2, 2], vertical_alignment="bottom")
    by = cast(heads.By, one.segmented_control("Rows and columns", ["word", "token"], key="map_by", required=True))
    specials = two.toggle("Special tokens", key="map_specials", help="Rows sum to 1 only with special tokens shown.")
    norms = three.toggle(
        "Weigh by what is passed on",
        key="map_norms",
        disabled=found.norms is None,
        help="Multiply each weight by the length of the vector that it lets through (Kobayashi et al. 2020): a large "
        "weight on an almost empty vector changes nothing.",
    )
    word = st.session_state.get("word")
    data = heads.head_map(found, by=by, norms=norms, specials=specials, selected=_row(found, by, specials, word))
    cell = view.head_map(data, key="map")
    with st.expander("The strongest links"):
        rows = heads.links(found, by=by, norms=norms, specials=specials)
        st.html(html.table(("looks", "at", data["unit"]), rows))
    if found.query is None:
        st.caption(
            "Open one head to see how a weight comes about."
            if whole
            else "This architecture does not show its queries and keys."
        )
        return
    with st.expander("How one weight comes about: query · key, number by number"):
        if cell is None:
            st.caption("Click a cell of the picture, or move there with the arrow keys and press Enter.")
            return
        names = [entry for entry in heads.labels(found.tokens, by) if specials or not entry[2]]
        query, key, part = heads.largest_pair(found, names[cell[0]][1], names[cell[1]][1])
        st.html(html.heading("", heads.product_sentence(found, query, key) + part, level=4))
        st.plotly_chart(heads.products(found, query, key), width="stretch", key="products")


def _row(found: HeadMap, by: heads.By, specials: bool, word: int | None) -> int | None:
    """The row of a word that was clicked on the Explain page."""
    if word is None:
        return None
    names = [entry for entry in heads.labels(found.tokens, by) if specials or not entry[2]]
    mine = [i for i, (_, members, _) in enumerate(names) if found.tokens.words[members[0]] == word]
    return mine[0] if mine else None


def many_heads(report: HeadsReport, about: Request, model: str, layer: int, masked: tuple[int, ...]) -> None:
    """BertViz's views of a layer and of the whole model, in a frame; nothing is computed before they are opened."""
    box = st.expander("BertViz: all heads of a layer, or of the whole model", key="bertviz", on_change="rerun")
    if not box.open:
        return
    with box:
        if masked:  # its weights come from an explanation, which always reads the whole text
            st.info("BertViz shows the whole text only. Show the hidden words again to see it.")
            return
        st.segmented_control(
            "View", list(bertviz.VIEWS), key="bertviz_view", required=True, format_func=str.capitalize,
            label_visibility="collapsed",
        )  # fmt: skip
        try:
            _frame(st.session_state.bertviz_view, report, about, model, layer)
        except ExplainError as error:
            panels.problem(error)


def _frame(which: bertviz.View, report: HeadsReport, about: Request, model: str, layer: int) -> None:
    depth, count = next(iter(report.statistics.values())).shape
    shape = (depth, count, len(report.tokens.ids))
    bertviz.require_short(which, shape[2])
    question = replace(about, methods=(), checks=(), attention=tuple(range(depth)))
    found = panels.answered(question, model, "Reading every head…")
    if not isinstance(found, Explanation) or found.attention is None:
        return
    weights = np.stack([maps.weights for maps in found.attention])  # (L, H, T, T)
    name = f"{report.digest} {which} {layer}"
    address = frames.place(name, lambda: bertviz.document(which, weights, found.tokens.strings, layer))
    st.caption(bertviz.about(which, shape, layer))
    st.iframe(address, height=bertviz.height(which, shape, layer), alt=f"BertViz {which}")


def all_layers(report: HeadsReport) -> None:
    """Rollout and flow, word by word."""
    st.html(html.heading("Through all layers", heads.through_layers(report)))
    rows = sorted(heads.shares(report), key=lambda row: -row[1])
    st.html(html.bars(("word", "rollout", "flow"), rows[:SHOWN]))
    if len(rows) > SHOWN:
        st.caption(f"The {SHOWN} largest of {len(rows)} words and special tokens.")


def hide(report: HeadsReport) -> None:
    """Let words be hidden from the model, one by one."""
    words = {
        int(report.tokens.words[members[0]]): name for name, members, special in heads.labels(report.tokens, "word")
        if not special
    }  # fmt: skip
    names = list(words.values())
    if len(words) <= MASKABLE:
        st.multiselect(
            "Hide words from the model",
            list(words),
            key="masked",
            format_func=lambda i: words.get(i, "") + (f" ({i + 1})" if names.count(words.get(i, "")) > 1 else ""),
            help="They are replaced by the mask token, or by the one that the tokenizer has for it, before "
            "the model reads: watch the decision and the heads change.",
        )


def wanted(text: str) -> bool:
    """Are effects measured at once? For a long text a person is asked first: every head is a pass over it."""
    return len(word_spans(text)) <= SHORT or bool(st.session_state.get("effects_for") == text)


def offer(report: HeadsReport) -> None:
    """A button to measure the effects of a long text's heads; until then another quantity colours the grid."""
    passes = next(iter(report.statistics.values())).size
    st.button(
        "Measure what each head does",
        help=f"{passes} passes over {len(report.tokens.ids)} tokens, one a head.",
        on_click=st.session_state.update,
        args=({"effects_for": report.tokens.texts[0], "heads_by": heads.EFFECT},),
    )


def opened(query: dict[str, str]) -> tuple[int, int] | None:
    """The head that the address names, if it names one."""
    parts = query.get("head", "").split(",")
    known = len(parts) == 2 and all(p.isdecimal() and len(p) < 9 for p in parts)
    return (int(parts[0]), int(parts[1])) if known else None


query = st.query_params.to_dict()
link.restore(query)
st.session_state.setdefault("open_head", opened(query))
start = {"heads_by": heads.EFFECT, "ablation": "mean", "map_by": "word", "bertviz_view": "head view"}
for name, value in start.items():
    st.session_state.setdefault(name, value)
texts, model, pressed = ask.text_and_model("Look")
st.html(html.heading("Attention", CAVEAT))
if not jobs.trusted(model, pressed):
    st.info(html.markdown(f"Press Look to load the model {model[:80]}."))
    st.stop()
about = Request(texts, truncate=True, place=options.place(texts[0]))
ablation = st.segmented_control(
    "Replace heads by", get_args(Ablation), key="ablation", required=True,
    help="What a head gives instead when its effect is measured: its mean or random outputs over ordinary sentences, "
    "or zeros, which no later layer has ever seen.",
)  # fmt: skip
if st.session_state.get("masked_of") != about.texts[0]:
    st.session_state.masked, st.session_state.masked_of = [], about.texts[0]
masked = tuple(st.session_state.masked)
place = st.container()
effects = cast(Ablation, ablation) if wanted(about.texts[0]) else None
report = panels.answered(HeadsRequest(about, effects, masked), model, "Looking at every head…")
if isinstance(report, HeadsReport):
    if effects is None:
        offer(report)
    if report.effects is None and st.session_state.heads_by == heads.EFFECT:
        st.session_state.heads_by = "entropy"  # no colour for what was not measured
    with place:
        hide(report)
    st.html(html.verdict(sentences.decided(report.prediction, report.model.problem), [heads.gone(report, masked)]))
    layer, head = every_head(report)
    own = {} if model in bundled.names() else {"model": model}
    link.view(texts[0], head=f"{layer},{head}", **own)
    one_head(report, about, model, layer, head, masked)
    many_heads(report, about, model, layer, masked)
    all_layers(report)
    st.html(html.heading("How this was computed", None))
    st.html(html.strip(heads.how(report), evidence.state_of(report) or panels.state_of(running=False)))
    asked = Beside(HeadsRequest(about, effects, masked), report)
    evidence.save_beside(asked, lambda: panels.explained(about, model))
    # Made when it is asked for, unlike those of the other pages: it may hold 40 MB, too much to keep in every session
    st.download_button(
        "Download JSON", report.to_json, f"whyboard-heads-{report.digest[:12]}.json", "application/json",
        on_click="ignore",
    )  # fmt: skip
