"""The shadow of a text: its characters in their plainest form, and where in the text each of them stands.

People copy numbers out of web pages and word processors: with no-break spaces, en dashes, soft hyphens, digits of
another script, a line break in the middle. Recognisers read the shadow, which has none of these; what they find there
is masked in the text.
"""

from __future__ import annotations

import unicodedata
from array import array
from functools import cache

BREAKS = "\n\v\f\x85\u2028\u2029"  # a carriage return is a space: with what follows it is one line break, not two


def shadow(text: str) -> tuple[str, array[int]]:
    """The shadow, and for each of its characters the offset of the one in the text that it stands for.

    White space, also with one line break in it, is one space; an empty line stays a line break, which no number goes
    across. What leaves no mark is left out.
    """
    found: list[str] = []
    at = array("L")
    space, breaks = False, 0
    for i, character in enumerate(text):
        if not (plain := _plain(character)):
            continue
        if not plain.isspace():
            space, breaks = False, 0
        else:
            breaks += character in BREAKS
            if space:
                found[-1] = "\n" if breaks > 1 else " "
                continue
            space = True
        found.append(plain)
        at.append(i)
    return "".join(found), at


@cache
def _plain(character: str) -> str:
    """The one character that is read instead of this one; nothing where nothing is seen."""
    if character.isspace():
        return " "
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f" or character == "\u034f":
        return ""
    if kind == "Nd":
        return str(unicodedata.digit(character))
    if kind == "Pd" or character == "\u2212":
        return "-"
    if character == "\u3002":  # the full stop of East Asian addresses
        return "."
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character
