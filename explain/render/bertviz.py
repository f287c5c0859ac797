"""Attention of many heads → one HTML document that draws BertViz's head view or model view (Vig 2019), safely.

BertViz itself loads scripts from another machine, writes tokens into a script unescaped, and its data twice with all
digits. Here its drawing scripts are read as they are and put between our own: d3 and jQuery from `assets/vendor`, and
the data once, rounded, as JSON that cannot end its element. The package is never imported, as that needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from explain import bundled
from explain.errors import ExplainError, InputError
from explain.render.pieces import visible

View = Literal["head view", "model view"]
VIEWS: dict[View, str] = {
    "head view": "All heads of one layer: words on the left look at words on the right, and each head has a colour "
    "(colours repeat after ten). Move over a word to see only its lines, click a square to leave a head out, "
    "double-click it to see no other.",
    "model view": "All heads of all layers: words on the left look at words on the right. Click a head to enlarge it, "
    "and move over a word on its left to see only that word's lines.",
}
LONGEST: dict[View, int] = {"head view": 128, "model view": 48}
"""Tokens that a view takes; a browser draws one line a pair of tokens and head, all at once."""
MOST: dict[View, int] = {"head view": 1_200_000, "model view": 170_000}
"""Weights that a document holds: 6 layers of 12 heads at the longest text. Deeper models show fewer layers."""

SAFE = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
"""What the document may load: nothing. It repeats this itself, should it ever be served without headers."""
_DATA = "JSON.parse(document.getElementById('data').textContent)"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{safe}">
<title>BertViz {view}</title>
<style>html {{ background: #fff; color: #000; color-scheme: light }} body {{ margin: 8px }}</style></head>
<body><div id="bertviz" style="font-family: system-ui, sans-serif">{picker}<div id="vis"></div></div>
<script type="application/json" id="data">{data}</script>
<script>{jquery}</script>
<script>{d3}</script>
<script>window.require = {{ config() {{}} }}; window.requirejs = (names, draw) => draw(jQuery, d3);</script>
<script>{drawing}</script></body></html>
"""


def require_short(view: View, count: int) -> None:
    """Refuse a text of `count` tokens that the view cannot show.

    Raises:
        InputError: it has more than `LONGEST` tokens.
    """
    if count > LONGEST[view]:
        raise InputError(
            f"BertViz draws a line for every pair of tokens: its {view} takes texts of up to {LONGEST[view]} tokens, "
            f"and this one has {count}. The picture of one head above takes any length.",
            code="too_long",
        )


def layers(view: View, shape: tuple[int, int, int], around: int) -> range:
    """Layers that are shown: all, or as many around one as a browser can draw; `shape` is (L, H, T)."""
    depth, heads, count = shape
    shown = min(depth, max(1, MOST[view] // (heads * count * count)))
    first = min(max(0, around - shown // 2), depth - shown)
    return range(first, first + shown)


def about(view: View, shape: tuple[int, int, int], around: int) -> str:
    """How to read the view, and what it leaves out."""
    found = layers(view, shape, around)
    said = [
        VIEWS[view],
        "The stronger a line, the larger the weight, rounded to four decimals.",
        f"Drawn by BertViz {version('bertviz')} for texts of up to {LONGEST[view]} tokens.",
    ]
    if len(found) < shape[0]:
        said.append(f"Layers {found[0]} to {found[-1]} of 0 to {shape[0] - 1}: a browser cannot draw more at once.")
    return " ".join(said)


def height(view: View, shape: tuple[int, int, int], around: int) -> int:
    """Pixels that the view needs, but no more than a screen: the rest scrolls."""
    _, heads, count = shape
    need = 22.5 * count + 90
    if view == "model view":
        need = max(len(layers(view, shape, around)) * (84 / heads * count + 10), 18 * count + 55) + 80
    return round(min(720, need))


def document(view: View, weights: Float[np.ndarray, "L H T T"], tokens: Sequence[str], around: int = 0) -> str:
    """The whole document.

    Args:
        view: one of `VIEWS`.
        weights: attention of all layers; rows are queries.
        tokens: their strings; whatever is in them is only ever shown.
        around: layer that is open at first, and that is shown where not all can be.

    Raises:
        InputError: more tokens than the view takes.
        ExplainError: BertViz is not there, or is not the version that this file knows.
    """
    require_short(view, len(tokens))
    shape = (weights.shape[0], weights.shape[1], weights.shape[2])
    shown = list(layers(view, shape, around))
    names = [visible(token) for token in tokens]
    parameters = {
        "attention": [
            {
                "attn": np.round(weights[shown].astype(np.float64), 4).tolist(),
                "left_text": names,
                "right_text": names,
            }
        ],
        "default_filter": "0",
        "root_div_id": "bertviz",
        "layer": around,
        "heads": None,
        "include_layers": shown,
        "include_heads": list(range(shape[1])),
        "total_heads": shape[1],
        "display_mode": "light",
    }
    scripts = bundled.shipped("assets") / "vendor"
    return _PAGE.format(
        safe=SAFE,
        view=view,
        picker='<label>Layer: <select id="layer"></select></label>' if view == "head view" else "",
        data=escaped(parameters),
        jquery=(scripts / "jquery.min.js").read_text("utf-8"),
        d3=(scripts / "d3.min.js").read_text("utf-8"),
        drawing=_drawing(view),
    )


def escaped(value: object) -> str:
    """JSON that can stand inside a script element: it holds no character that could end it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _drawing(view: View) -> str:
    """BertViz's own script: without its list of other machines, reading our data, as wide as the frame."""
    spec = find_spec("bertviz")
    if spec is None or spec.origin is None:
        raise ExplainError("This view needs the package 'bertviz'. Run `pip install bertviz`.", code="missing_package")
    script = Path(spec.origin).with_name(f"{view.replace(' ', '_')}.js").read_text("utf-8")
    notes, config, rest = script.partition("require.config(")
    _, end, drawing = rest.partition("});")
    if not (config and end and drawing.count("= PYTHON_PARAMS;") == 1):
        raise ExplainError(
            f"BertViz {version('bertviz')} is not the version that Whyboard knows. Install 1.4.1.", code="bertviz"
        )
    drawing = drawing.replace("= PYTHON_PARAMS;", f"= {_DATA};", 1)
    return notes + drawing.replace("DIV_WIDTH = 970", "DIV_WIDTH = Math.max(640, innerWidth - 24)", 1)
