"""Texts in lines of a given width, for pictures, where nothing breaks by itself: widths are those of a plain font."""

from __future__ import annotations

import unicodedata

import regex

from explain.render.pieces import visible_line


def fitting(text: str, ems: float) -> str:
    """A text in one line, at most so many ems wide (the size of its letters); what does not fit ends in …"""
    kept, width = "", 0.0
    letters = regex.findall(r"\X", visible_line(text))
    for at, letter in enumerate(letters):
        width += _width(letter)
        if width > ems:
            while kept and width + 1.0 > ems:  # room for the …
                at -= 1
                width -= _width(letters[at])
                kept = kept[: -len(letters[at])]
            return f"{kept}…"
        kept += letter
    return kept


def wrapped(text: str, ems: float) -> list[str]:
    """A text in lines of at most so many ems, broken between words, and inside of one that is longer than a line."""
    lines, width = [""], 0.0
    for word in visible_line(text).split():
        letters = regex.findall(r"\X", word)
        long = sum(map(_width, letters))
        if width and width + 0.4 + long > ems:
            lines.append("")
            width = 0.0
        elif width:
            lines[-1] += " "
            width += 0.4
        for letter in letters:
            if width + _width(letter) > ems:
                lines.append("")
                width = 0.0
            lines[-1] += letter
            width += _width(letter)
    return lines


def _width(letter: str) -> float:
    """About how many ems a letter with its marks is wide in a plain font; rather more than less."""
    first = letter[0]
    if len(letter) > 1 and any(unicodedata.category(c) == "So" for c in letter):
        return 1.4  # an emoji of several signs
    if unicodedata.category(first) == "So":
        return 1.4
    if unicodedata.east_asian_width(first) in "WF":
        return 1.05
    if first in "ijltfrI.,:;'|!()[] ·-":
        return 0.42
    if first in "mwMWOQ@%—…←→" or (not first.isascii() and first.isupper()):
        return 1.0
    return 0.79 if first.isupper() else 0.66
