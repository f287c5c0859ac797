"""The page's address: it carries settings and an example's name, never a person's text."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from explain import list_methods
from explain.catalog import Grain, ParamInfo, Request
from explain.dashboard.examples import CONTEXTS, EXAMPLES, of
from explain.settings import settings

DECIDED, NOTHING = "the model's decision", "nothing (log-odds)"
QUANTITIES = {"log_odds": "log-odds", "logit": "raw logit", "margin": "margin", "probability": "probability"}
GRAINS: dict[Grain, str] = {g: "sentences first" if g == "hierarchical" else g for g in get_args(Grain)}


def restore(query: dict[str, str]) -> None:
    """Fill the inputs once a session, from the address or with the first example."""
    state = st.session_state
    if "text" in state:
        return
    state.model = query.get("model") or settings().model
    example, fitting = query.get("example"), of(state.model)
    state.example, state.edits = example if example in fitting else fitting[0], 0
    state.text = EXAMPLES[state.example] if query.get("text") != "own" else ""
    state.forgotten = query.get("text") == "own"
    known = {m.name: m for m in list_methods()}
    state.method = query.get("method") if query.get("method") in known else next(iter(known))
    state.beside = [n for n in query.get("beside", "").split(",") if n in known and n != state.method][:4]
    state.granularity = query["granularity"] if query.get("granularity") in GRAINS else "word"
    state.quantity = query["quantity"] if query.get("quantity") in QUANTITIES else "log_odds"
    state.fixed = query.get("scale") != "free"
    state.target, state.contrast = query.get("target", DECIDED), query.get("contrast", NOTHING)
    for info in known[state.method].params:
        if (text := query.get(f"p.{info.name}")) is not None:
            _restore(f"p.{state.method}.{info.name}", info, text)


def _restore(key: str, info: ParamInfo, text: str) -> None:
    """Take a parameter from the address if it is one; an edited address must not break the page."""
    if info.kind == "choice":
        if text in info.choices:
            st.session_state[key] = text
        return
    try:
        value = float(text)
    except ValueError:
        return
    if info.low is not None and info.high is not None and info.low <= value <= info.high:
        st.session_state[key] = int(value) if info.kind == "integer" else value


def view(example_of: str, **settings_: object) -> None:
    """Write what another page shows into the address: the example, where it is one, and settings without text."""
    example = next((name for name, text in EXAMPLES.items() if text == example_of), None)
    found = {"example": example} if example else {"text": "own"}
    found |= {name: str(value) for name, value in settings_.items()}
    if found != st.query_params.to_dict():
        st.query_params.from_dict(found)


def write(request: Request, model: str, *, fixed_scale: bool, quoted: bool = False) -> None:
    """Write everything but the text into the address; `quoted`: what is explained is a part of the text too."""
    state = st.session_state
    first, last = request.texts[0], request.texts[-1]
    alike = (n for n, text in EXAMPLES.items() if text == first and CONTEXTS.get(n, last) == last)
    example = None if request.roles else next(alike, None)
    found = {"example": example} if example else {"text": "own"}
    defaults = {
        "model": (model, settings().model),
        "method": (request.methods[0], "integrated_gradients"),
        "granularity": (request.granularity, "word"),
        "quantity": (request.quantity, "log_odds"),
        "beside": (",".join(request.methods[1:]), ""),
        "target": (state.target, DECIDED),
        "contrast": (state.contrast, NOTHING),
        "scale": ("fixed" if fixed_scale else "free", "fixed"),
    }
    found |= {name: str(value) for name, (value, default) in defaults.items() if value != default}
    if quoted and not example:
        found = {name: value for name, value in found.items() if name not in ("target", "contrast")}
    private = {p.name for m in list_methods() for p in m.params if p.kind == "text"}  # a person's text is no address
    for values in request.params.values():
        found |= {f"p.{name}": str(value) for name, value in values.items() if name not in private}
    if found != st.query_params.to_dict():
        st.query_params.from_dict(found)
