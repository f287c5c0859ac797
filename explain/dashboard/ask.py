"""The inputs: text, model and settings in, a Request out. Settings are mirrored in the page's address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from explain import bundled, list_checks, list_methods
from explain.catalog import MethodInfo, ParamInfo, Request, TargetKind
from explain.dashboard.examples import EXAMPLES, FIRST
from explain.plugins import LONGEST
from explain.records import Granularity
from explain.settings import settings

DECIDED, NOTHING = "the model's decision", "nothing (log-odds)"
QUANTITIES = {"log_odds": "log-odds", "logit": "raw logit", "margin": "margin", "probability": "probability"}


@dataclass(frozen=True)
class Asked:
    """What the person asked for. `pressed`: the Explain button was just used."""

    request: Request
    model: str
    fixed_scale: bool
    pressed: bool


def ask(labels: tuple[str, ...]) -> Asked:
    """Draw the inputs and return what they say.

    Args:
        labels: outcomes of the model in use, as far as they are known.
    """
    query = st.query_params
    _start(query.to_dict())
    st.text_area("Text", key="text", height=110, placeholder="Type or paste a sentence, then press Explain.")
    st.pills("Examples", list(EXAMPLES), key="example", on_change=_use_example, label_visibility="collapsed")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        model = st.selectbox(
            "Model",
            _models(),
            key="model",
            accept_new_options=True,
            help="A bundled model, a Hub id such as owner/model, or a folder with config.json and safetensors.",
        )
    with right:
        pressed = st.button("Explain", type="primary", width="stretch")
    with st.expander("Settings"):
        request, fixed = _settings(labels)
    asked = Asked(request, str(model or settings().model), fixed, pressed)
    _link(asked)
    return asked


def _settings(labels: tuple[str, ...]) -> tuple[Request, bool]:
    known = {m.name: m for m in list_methods()}

    def titled(name: str) -> str:
        return f"{known[name].title} · {known[name].family}"

    one, two = st.columns(2)
    with one:
        name = st.selectbox("Method", list(known), key="method", format_func=titled)
    method = known[name]
    with two:
        granularity = st.segmented_control("Score by", ["word", "token"], key="granularity", required=True)
    st.caption(f"{method.summary} {method.misleads} ({method.cite})")
    values = _parameters(method)
    st.session_state.beside = [n for n in st.session_state.beside if n != name]
    beside = st.multiselect(
        "Beside it",
        [n for n in known if n != name],
        key="beside",
        format_func=titled,
        max_selections=4,
        help="Other methods on the same words, to see where they disagree.",
    )
    one, two, three = st.columns(3)
    with one:
        target = st.selectbox("Explain", [DECIDED, *labels], key="target", accept_new_options=not labels)
    with two:
        contrast = st.selectbox("rather than", [NOTHING, *labels], key="contrast", accept_new_options=not labels)
    with three:
        quantity = st.selectbox("Measured in", list(QUANTITIES), key="quantity", format_func=QUANTITIES.__getitem__)
    pair = st.text_area("Second text (for models that compare two)", key="pair", height=68)
    fixed = st.toggle(
        "Fixed colour scale (± 2 log-odds)", key="fixed", help="Fixed, so that small scores look small everywhere."
    )
    st.caption("Follows your system's light or dark theme; ⋮ → Settings changes it.")
    text = st.session_state.text
    thorough = st.session_state.get("thorough_for") == text
    request = Request(
        texts=(text, pair) if pair else (text,),
        methods=(name, *beside),
        params={name: values} if values else {},
        target=None if target == DECIDED else target,
        contrast=None if contrast == NOTHING else contrast,
        quantity=cast(TargetKind, quantity),
        granularity=cast(Granularity, granularity or "word"),
        truncate=True,
        orders=200 if thorough else 20,
        checks=tuple(list_checks()) if thorough else None,
        forced=st.session_state.get("forced") == [str(st.session_state.model or settings().model), name],
        checked=1,  # the page shows the checks of the first method; those beside it are compared, not checked
    )
    return request, fixed


def _parameters(method: MethodInfo) -> dict[str, Any]:
    """Controls made from the method's parameters; only values that differ from the default are returned."""
    values: dict[str, Any] = {}
    for column, info in zip(st.columns(max(1, min(3, len(method.params)))) * 3, method.params, strict=False):
        with column:
            value = _control(info, f"p.{method.name}.{info.name}")
        if value != info.default:
            values[info.name] = value
    return values


def _control(info: ParamInfo, key: str) -> Any:
    label = info.name.replace("_", " ").capitalize()
    st.session_state.setdefault(key, info.default)
    if info.kind == "choice":
        return st.selectbox(label, info.choices, key=key, help=info.help)
    if info.kind == "text":
        return st.text_input(label, key=key, max_chars=LONGEST, help=info.help)
    if info.kind == "boolean":
        return st.toggle(label, key=key, help=info.help)
    if info.kind == "integer":
        return st.number_input(label, int(info.low or 0), int(info.high or 1), key=key, help=info.help)
    return st.number_input(label, info.low, info.high, key=key, help=info.help, format="%g", step=0.01)


def _start(query: dict[str, str]) -> None:
    """Fill the inputs once a session, from the address or with the first example."""
    state = st.session_state
    if "text" in state:
        return
    example = query.get("example", FIRST)
    state.example = example if example in EXAMPLES else FIRST
    state.text = EXAMPLES[state.example] if query.get("text") != "own" else ""
    known = {m.name: m for m in list_methods()}
    state.model = query.get("model") or settings().model
    state.method = query.get("method") if query.get("method") in known else next(iter(known))
    state.beside = [n for n in query.get("beside", "").split(",") if n in known and n != state.method][:4]
    state.granularity = "token" if query.get("granularity") == "token" else "word"
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


def _link(asked: Asked) -> None:
    """Write everything but the text into the address."""
    request, state = asked.request, st.session_state
    example = next((name for name, text in EXAMPLES.items() if text == request.texts[0]), None)
    found = {"example": example} if example else {"text": "own"}
    defaults = {
        "model": (asked.model, settings().model),
        "method": (request.methods[0], "integrated_gradients"),
        "granularity": (request.granularity, "word"),
        "quantity": (request.quantity, "log_odds"),
        "beside": (",".join(request.methods[1:]), ""),
        "target": (state.target, DECIDED),
        "contrast": (state.contrast, NOTHING),
        "scale": ("fixed" if asked.fixed_scale else "free", "fixed"),
    }
    found |= {name: str(value) for name, (value, default) in defaults.items() if value != default}
    private = {p.name for m in list_methods() for p in m.params if p.kind == "text"}  # a person's text is no address
    for values in request.params.values():
        found |= {f"p.{name}": str(value) for name, value in values.items() if name not in private}
    if found != st.query_params.to_dict():
        st.query_params.from_dict(found)


def _use_example() -> None:
    if st.session_state.example:
        st.session_state.text = EXAMPLES[st.session_state.example]
        st.session_state.pair = ""


def _models() -> list[str]:
    names = bundled.names()
    current = st.session_state.get("model")
    return names if current in names or not current else [*names, current]
