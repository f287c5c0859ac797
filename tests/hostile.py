"""Texts that break things: faults F01 to F18 as data, for every door that takes a text."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

from explain.notices import BIDI

EMPTY, NOTHING = ("empty_text", "The text is empty"), ("no_content_tokens", "nothing that the model can read")
LARGE = ("too_large", "1,000,000 characters; at most 100,000 are read")

REFUSED = {
    "F01 empty": ("", EMPTY),
    "F02 spaces": ("   ", NOTHING),
    "F02 white space": (" \t\n\r\n\u3000\u2028", NOTHING),
    "F02 zero width": ("\u200b\u200b\u2060\ufeff", NOTHING),
    "F02 both": ("\u200b \n\u200d", NOTHING),
    "F04 a megabyte": ("good " * 200_000, LARGE),
    "F04 a megabyte of one word": ("x" * 1_000_000, LARGE),
    "F12 controls only": ("\0\x01\x1b", NOTHING),
}
"""Name → text, error code, part of the sentence."""

SURROGATES = ("good \ud800 film", "\udcff", "film \ude00\ud83d")
UNKNOWN, MOSTLY = {"unknown_tokens": ANY}, {"mostly_unknown": ANY}
CONTROLS = "".join(map(chr, [*range(32), 0x7F]))


def _at(text: str, characters: str) -> tuple[tuple[int, int], ...]:
    return tuple((i, i + 1) for i, c in enumerate(text) if c in characters)


def _hidden(text: str, characters: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return text, {"invisible_characters": _at(text, characters), **more}


_bidi = "a good " + "".join(sorted(BIDI)) + "film is re\u202eversed"
EXPLAINED: dict[str, tuple[str, dict[str, Any]]] = {
    "F03 typed specials": (
        "[CLS] good [SEP] film [MASK] is [PAD]",
        {"typed_special_tokens": ((0, 5), (11, 16), (22, 28), (32, 37))},
    ),
    "F07 family": ("a 👨‍👩‍👧‍👦 good film", {"unknown_tokens": ((2, 9),)}),
    "F07 flags": ("a 🇩🇪🇫🇷 good film", UNKNOWN),
    "F07 flag of Scotland": ("a 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f good film", UNKNOWN),
    "F07 skin tones": ("a 👍🏽👩🏿‍⚕️ good film", UNKNOWN),
    "F07 keycap and heart": ("a 1️⃣ ❤️‍🔥 good film", MOSTLY),
    "F08 Hebrew": ("הסרט good film is so funny", UNKNOWN),
    "F08 Arabic": ("هذا الفيلم رائع good جدا", MOSTLY),
    "F08 Persian joiner": ("می\u200cخواهم good", MOSTLY),
    "F08 Hindi joiner": ("क्\u200dष good", MOSTLY),
    "F09 bidi": (_bidi, {"bidirectional_controls": _at(_bidi, "".join(BIDI))}),
    "F10 zero-width space": _hidden("go\u200bod film", "\u200b"),
    "F10 word joiner": _hidden("go\u2060od film", "\u2060"),
    "F10 byte order mark": _hidden("\ufeffgood film", "\ufeff"),
    "F10 tags": _hidden("good\U000e0067\U000e0068 film", "\U000e0067\U000e0068"),
    "F10 tags behind a flag": _hidden("a 🏴\U000e0068\U000e0069 good film", "\U000e0068\U000e0069", **UNKNOWN),
    "F10 joiner between letters": _hidden("go\u200dod film", "\u200d"),
    "F10 soft hyphen": _hidden("go\u00adod film", "\u00ad"),
    "F10 grapheme joiner": _hidden("good\u034f film", "\u034f"),
    "F10 variation selectors": _hidden("good\ufe00\U000e0100 film", "\ufe00\U000e0100"),
    "F10 Hangul filler": _hidden("good \u3164 film is so funny", "\u3164", **UNKNOWN),
    "F11 homoglyphs": ("a gооd film and plot", {"mixed_scripts": ((2, 6),), **UNKNOWN}),
    "F12 NUL": _hidden("go\0od film", "\0"),
    "F12 controls": _hidden(f"good{CONTROLS} film", CONTROLS.translate({9: None, 10: None})),
    "F12 carriage return": ("good\rfilm\r\nfunny", {"invisible_characters": ((4, 5),)}),
    "F15 all unknown": ("你好 мир 好", {"mostly_unknown": ((0, 1), (1, 2), (3, 6), (7, 8))}),
    "F17 composed": ("caf\u00e9 film", {}),
    "F17 decomposed": ("cafe\u0301 film", {}),
    "F17 a thousand marks": ("go" + "o\u0301" + "\u0323" * 999 + "d film", {}),
    "F18 HTML": ("</script><img src=x onerror=alert(1)> <b>good</b> &amp; <br>", MOSTLY),
    "F18 Markdown and LaTeX": ("**good** $x^2$ :red[film] `so` [a](javascript:alert) # ~~is~~", MOSTLY),
    "F18 Rich and ANSI": _hidden("[bold]good[/bold] [link=x] \x1b[31m film", "\x1b", **MOSTLY),
}
"""Name → text, where each notice about the text points (ANY: anywhere). The shares are those of tests.tiny."""

SEEDS = (
    ">>", "\n", " ", "\r\n", "a", "a ", "a'", "((a+)+)+", "[CLS]", "##", "1,", "aA", "a.", "http://",
    "e\u0301", "\u0301", "\u200d", "👩\u200d", "🇩\u0301", "好", "क्", "ב'", "\0",
)  # fmt: skip
"""Repeated, these send a careless expression or loop into quadratic or exponential time."""

_CYRILLIC = "aа cс eе iі jј oо pр sѕ xх yу vѵ wԝ qԛ hһ dԁ AА BВ CС EЕ HН IІ JЈ KК MМ OО PР SЅ TТ XХ YҮ"
_GREEK = "oο vν pρ yγ iι AΑ BΒ EΕ ZΖ HΗ IΙ KΚ MΜ NΝ OΟ PΡ TΤ YΥ XΧ"
_OTHERS = "oօ hհ uս nո DᎠ RᎡ TᎢ WᎳ"  # Armenian, Cherokee
LOOKALIKES = f"{_CYRILLIC} {_GREEK} {_OTHERS}".split()
"""Latin letters, each followed by one of another alphabet that looks like it (Unicode's confusables.txt)."""

_MARKUP = (
    "**b**", "__b__", "*i*", "`c`", "~~s~~", "# h", "> q", "- l", "+ l", "1. l", "2) l", "---", "===", "|a|b|", r"\*",
    "[a](javascript:alert(1))", "![a](x)", "<http://x.y>", "    c", "$x$", "$$x$$", r"\(x\)", r"\frac{1}{2}", "$5 $6",
    "<b>", "</b>", "<br>", "<i>i</i>", "<sub>2</sub>", "<a href=x>", "<script>alert(1)</script>", "</script>", "</p>",
    "<img src=x onerror=alert(1)>", "<svg/onload=x>", "&amp;", "&#60;", "&lt;b&gt;", "<!-- c -->", "{{7}}",
    ":red[x]", ":smile:", ":material/home:", "[bold]b[/bold]", "[red]", "[/]", "[link=x]l[/link]", r"\[", "[#ff0000]r",
    "\x1b[31m", "\x1b]8;;x\x07", "\x9b31m", "\x08", "%s", '" onclick="x',
)  # fmt: skip
PAYLOADS = [place.format(m) for place in ("{} good", "good {} film", "good{}film", "good\n{}") for m in _MARKUP]
"""Markdown, LaTeX, HTML, Streamlit, Rich and terminal escapes, at the start of a text, inside it, and of a line."""

PAPERS = {
    "markup": "A <b>good</b> <script>alert(1)</script> film & <img src=x onerror=alert(1)> </p></main> {{7}} \x1b[31m.",
    "bidi": "A \u202egood\u202c film\u2066 which\u2069 is \u200bvery\u200b re\u202eversed and \ufeff fine.",
    "one word": "A " + "x" * 3000 + " film " + "é" * 500,
    "wide": "W" * 200 + " " + "M" * 27 + " " + "@" * 40,
    "Hebrew": "הסרט הזה מצחיק מאוד וטוב הרבה יותר ממה שחשבתי good film היום",
    "Arabic": "هذا الفيلم رائع جدا ومضحك للغاية 123 good فيلم",
    "Chinese": "这部电影非常好看而且还特别有意思我很喜欢它的每一个镜头 ， 日本語 の 映画 も 面白い 한국어 영화 도 좋다",
    "emoji": "a 👨‍👩‍👧‍👦 good 🇩🇪 film 👍🏽 " + "👩🏿‍⚕️" * 30 + " c\u0301a\u0323fe\u0301",
    "marks": "go" + "o\u0301" + "\u0323" * 999 + "d film, and a long line after it",
    "lines": "First line .\n\nSecond\tline ,   many    spaces .\r\nThird\u2028line",
}
"""Texts that break a page or a picture: cut off, run together, or acting."""
