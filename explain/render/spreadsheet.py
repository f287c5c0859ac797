"""Explanation → CSV: one row a word, for spreadsheets. Cells that a spreadsheet would run are defused."""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import Any

from explain.records import Explanation

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
"""First characters that start a formula, also in their full-width forms."""
COLUMNS = (
    "segment", "start", "end", "text", "score", "numeric_error", "share", "rank", "without", "prob_without", "whole",
)  # fmt: skip


def words_csv(explanation: Explanation, index: int = 0) -> str:
    """The words of one attribution with full precision, the specials' total, and what speaks against believing them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for word in explanation.words(index):
        writer.writerow([_cell(getattr(word, name)) for name in COLUMNS])
    doubts = [n.message for n in explanation.warnings if n.code in ("forced_method", "gated_method")]
    doubts += [c.sentence for c in explanation.checks if c.status == "fail" and c.attribution == index]
    special = explanation.attributions[index].special
    writer.writerow(["", "", "", "(special tokens)", repr(special), *[""] * (len(COLUMNS) - 5)])
    for doubt in doubts:
        writer.writerow(["", "", "", f"({doubt})", *[""] * (len(COLUMNS) - 4)])
    return out.getvalue()


def defused(text: str) -> str:
    """`text`, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text and unicodedata.normalize("NFKC", text[0]) in DANGEROUS else text


def _cell(value: Any) -> str:
    """A value as a spreadsheet may have it: text that would run begins with an apostrophe; None is empty."""
    if isinstance(value, str):
        return defused(value)
    return "" if value is None else repr(value)
