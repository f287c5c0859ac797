"""Browser components and the Python that mounts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent


def component(name: str, place: str, styles: str, script: str) -> Callable[..., Any]:
    """Register `script` under whyboard.`name`; it fills the element of class `place` and may use `elements.js`."""
    return st.components.v2.component(  # type: ignore[no-any-return]
        f"whyboard.{name}",
        html=f'<div class="{place}"></div>',
        css=source(styles),
        js=f"{source('elements.js')}\n{source(script)}",
    )


def source(file: str) -> str:
    """The text of a file of this folder."""
    return (_HERE / file).read_text("utf-8")
