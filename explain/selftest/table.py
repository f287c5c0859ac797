"""The self-test's report as a table for any Rich console."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from explain.records import NORMAL
from explain.selftest import Report
from explain.selftest.measure import Row
from explain.selftest.planted import KINDS, Kind
from explain.selftest.promises import COVERED, FOUND, PASSING, passes, share


def table(report: Report) -> RenderableType:
    """What the models learned, a row a method, and the promises."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("method", "shortcut found, %", "no check fails", "reacts", "exactness", "adds up"):
        grid.add_column(title, no_wrap=title == "method")
    for row in report.rows:
        grid.add_row(
            Text(row.method),
            _shares(row.found),
            Text(f"{share(row):.0%}" if row.passing else ""),
            Text("  ".join(f"{one:.2f}" for one in row.reacting.values())),
            Text(_exactness(row)),
            Text("" if row.residual is None else f"to {row.residual:.1g}"),
            style="" if passes(row) else "dim",
        )
    learned = [
        Text(f"{kind}: decides {accuracy:.1%} of held-out texts as planted, {obeys:.1%} where the rest contradicts")
        for kind, accuracy, obeys in report.accuracy
    ]
    notes = (
        f"shortcut found: in how many of {report.size.texts} texts each it has the largest score ({', '.join(KINDS)}).",
        f"no check fails: in how many of all these texts, {PASSING:.0%} are asked for; reacts: mean percentile among "
        "random orders of taking words out. Methods that reach too little (dim) owe nothing here.",
        "held: the share of words whose 95 % interval holds the exact value, at the moment the method stops "
        f"(expected: {COVERED[0]:.0%} to {COVERED[1]:.0%}).",
    )
    kept = [
        Text(f"{'✓' if p.kept else '✗'} {p.claim} ({p.seen}).", style="green" if p.kept else "bold red")
        for p in report.promises
    ]
    return Group(*learned, Text(), grid, Text(), *(Text(n, style="dim") for n in notes), Text(), *kept)


def _shares(found: Mapping[Kind, float]) -> Text:
    """One percentage a kind; those below the threshold stand out."""
    line = Text()
    for one in found.values():
        line.append(f"{100 * one:4.0f}", style="" if one >= FOUND else "yellow")
    return line if found else Text("not judged")


def _exactness(row: Row) -> str:
    if row.covered is not None and row.covered_error is not None:
        return f"held {row.covered:.1%} ± {NORMAL * row.covered_error:.1%}"
    known = [f"direct calls {row.direct:.0e}"] if row.direct is not None else []
    known += [f"on paper {row.exact:.0e}"] if row.exact is not None else []
    return ", ".join(known)
