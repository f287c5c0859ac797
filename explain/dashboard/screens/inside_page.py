"""Inside: one token's road from text to prediction, step by step, with this text's real numbers."""

from __future__ import annotations

import numpy as np
import streamlit as st

from explain import bundled
from explain.audit.records import Beside
from explain.catalog import Request
from explain.dashboard import ask, evidence, further, jobs, link, options, panels, steps
from explain.dashboard.view import road as view
from explain.render import html
from explain.render import road as render
from explain.road import Road, RoadRequest

CAVEAT = (
    "The road that one token takes through the model, with this text's real numbers. It shows how the answer is "
    "computed, step by step; which words count is on the Explain page."
)


def pickers(road: Road) -> tuple[int, int]:
    """Layer and head; those that this model lacks, from an address or another model, fall back to its last."""
    state = st.session_state
    layers, heads = road.model.n_layers, max(1, road.model.n_heads)
    state.inside_layer, state.inside_head = min(state.inside_layer, layers - 1), min(state.inside_head, heads - 1)
    one, two = st.columns(2)
    if layers > 1:
        one.slider("Layer", 0, layers - 1, key="inside_layer")
    if heads > 1:
        two.slider("Head", 0, heads - 1, key="inside_head")
    return state.inside_layer, state.inside_head


def asked(about: Request, model: str) -> Road | None:
    """The road of the chosen token, layer and head; numbers that another text or model lacks fall back to the first."""
    state = st.session_state
    if state.get("inside_of") != (about.texts[0], model):
        first = panels.answered(RoadRequest(about, 0, 0, 0), model, "Following the words through the model…")
        if not isinstance(first, Road):
            return None
        state.inside_of, state.inside_tokens = (about.texts[0], model), len(first.tokens.ids)
        state.inside_layers, state.inside_heads = first.model.n_layers, max(1, first.model.n_heads)
        state.inside_token = _first_word(first)
    token = min(int(view.chosen("token", state.inside_token)), state.inside_tokens - 1)
    layer, head = min(state.inside_layer, state.inside_layers - 1), min(state.inside_head, state.inside_heads - 1)
    found = panels.answered(RoadRequest(about, layer, head, token), model, "Following the word through the model…")
    return found if isinstance(found, Road) else None


def _first_word(road: Road) -> int:
    """The first token that is a word of some length; else the first that is no special one."""
    tokens = road.tokens
    words = [t for t, special in enumerate(tokens.special) if not special]
    return next((t for t in words if int(np.diff(tokens.offsets[t])[0]) > 3), words[0] if words else 0)


query = st.query_params.to_dict()
link.restore(query)
for key, default in {"inside_layer": 0, "inside_head": 0, "further": further.CHOICES[0]}.items():
    wished = query.get(key.removeprefix("inside_"), "")
    st.session_state.setdefault(key, int(wished) if wished.isdecimal() and len(wished) < 4 else default)
texts, model, pressed = ask.text_and_model("Look inside")
st.html(html.heading("Inside", CAVEAT))
if not jobs.trusted(model, pressed):
    st.info(html.markdown(f"Press Look inside to load the model {model[:80]}."))
    st.stop()
about = Request(texts, truncate=True, place=options.place(texts[0]))
road = asked(about, model)
if road is not None:
    wished = query.get("step", "")
    step = str(view.chosen("step", wished if wished in render.STEPS else "attention"))
    view.road(render.diagram(road, step))
    layer, head = pickers(road)
    own = {} if model in bundled.names() else {"model": model}
    link.view(texts[0], layer=layer, head=head, step=step, **own)
    steps.show(road, step)
    further.show(road, about, model)
    st.html(html.heading("How this was computed", None))
    st.html(html.strip(render.how(road), evidence.state_of(road) or panels.state_of(running=False)))
    beside = Beside(RoadRequest(about, road.layer, road.head, road.token), road)
    evidence.save_beside(beside, lambda: panels.explained(about, model))
    st.download_button(
        "Download JSON", panels.encoded(road), f"whyboard-road-{road.digest[:12]}.json", "application/json",
        on_click="ignore",
    )  # fmt: skip
