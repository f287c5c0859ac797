"""The method and its parameters: families, one line and the seconds of each method, controls made from its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from explain.catalog import Forecast, MethodInfo, ParamInfo
from explain.plugins import LONGEST
from explain.render import html

PREFIX = "p."
"""How the session calls a parameter: this, the method's name, a dot, its own name."""


def pick(known: Mapping[str, MethodInfo], costs: Mapping[str, Forecast], refused: Mapping[str, float]) -> MethodInfo:
    """Draw the families and the methods of one; a family can be looked through without choosing.

    `costs` forecasts each method for the present text; missing: not known yet. Methods that are `refused`
    on this model are grey, with what they miss.
    """
    state = st.session_state
    families = list(dict.fromkeys(m.family for m in known.values()))
    state.setdefault("family", known[state.method].family)
    family = st.segmented_control("Method", families, key="family", required=True, format_func=str.capitalize)
    names = [name for name, m in known.items() if m.family == family]
    st.radio(
        "Methods of this family",
        names,
        names.index(state.method) if state.method in names else None,
        key=f"pick.{family}",
        format_func=lambda name: _title(known[name], refused),
        captions=[_line(known[name], costs.get(name, Forecast()), refused.get(name)) for name in names],
        on_change=_picked,
        args=(family,),
        label_visibility="collapsed",
    )
    chosen = known[state.method]
    elsewhere = "" if chosen.name in names else f"In use: {chosen.title}. "
    st.caption(html.markdown(f"{elsewhere}When {chosen.title} misleads: {chosen.misleads} Source: {chosen.cite}."))
    return chosen


def _picked(family: str) -> None:
    """Take the choice in a family that is in view: a browser that is behind still sends the one before."""
    if (chosen := st.session_state[f"pick.{family}"]) and family == st.session_state.family:
        st.session_state.method = chosen


def _title(method: MethodInfo, refused: Mapping[str, float]) -> str:
    title = html.markdown(method.title)
    return f":gray[{title}]" if method.name in refused else title


def _line(method: MethodInfo, cost: Forecast, missed: float | None) -> str:
    gate = "" if missed is None else f" Refused on this model: its scores miss their own sum by {missed:.0%}."
    if cost.seconds == math.inf:
        return html.markdown(f"{method.summary}{gate} This text is too long for it.")
    return html.markdown(f"{method.summary}{gate}{f' Takes {spoken(cost)}.' if cost.seconds else ''}")


def spoken(cost: Forecast) -> str:
    """A forecast in words: seconds, and memory where it is known."""
    memory = "" if cost.memory is None else f" and {cost.memory / 1e6:,.0f} MB of memory"
    return f"{_time(cost.seconds or 0)}{memory}"


def _time(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.0f} hours"


def parameters(method: MethodInfo) -> None:
    """Draw controls made from the method's parameters."""
    shown = _shown(method)
    for column, info in zip(st.columns(max(1, min(3, len(shown)))) * 3, shown, strict=False):
        with column:
            _control(info, _key(method, info.name))


def given(method: MethodInfo) -> dict[str, Any]:
    """The method's parameters that a person set to something else than the default."""
    state = st.session_state
    return {
        info.name: value
        for info in _shown(method)
        if (value := state.get(_key(method, info.name), info.default)) != info.default
    }


def _key(method: MethodInfo, parameter: str) -> str:
    return f"{PREFIX}{method.name}.{parameter}"


def _shown(method: MethodInfo) -> list[ParamInfo]:
    """`baseline_text` is only asked for where `baseline` is 'text'."""

    def asked(name: str) -> bool:
        of = name.removesuffix("_text")
        return of == name or st.session_state.get(_key(method, of)) == "text"

    return [info for info in method.params if asked(info.name)]


def _control(info: ParamInfo, key: str) -> None:
    label = info.name.replace("_", " ").capitalize()
    st.session_state.setdefault(key, info.default)
    if info.kind == "choice":
        st.selectbox(label, info.choices, key=key, help=info.help)
    elif info.kind == "text":
        st.text_input(label, key=key, max_chars=LONGEST, help=info.help)
    elif info.kind == "boolean":
        st.toggle(label, key=key, help=info.help)
    elif info.kind == "integer":
        st.number_input(label, int(info.low or 0), int(info.high or 1), key=key, help=info.help)
    else:
        st.number_input(label, info.low, info.high, key=key, help=info.help, format="%g", step=0.01)
