"""The self-test's report as a table for any Rich console."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from explain.selftest import Report
from explain.selftest.measure import Row
from explain.selftest.planted import KINDS, Kind
from explain.selftest.promises import COVERED, FOUND, PASSING, passes


def table(report: Report) -> RenderableType:
    """What the models learned, a row a method, and the promises."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("method", "found the shortcut", "checks do not fail", "exactness", "adds up"):
        grid.add_column(title, no_wrap=True)
    for row in report.rows:
        grid.add_row(
            Text(row.method),
            _shares(row.found, FOUND),
            _shares(row.passing, PASSING),
            Text(_exactness(row)),
            Text("" if row.residual is None else f"to {row.residual:.1g}"),
            style="" if passes(row) else "dim",
        )
    learned = [
        Text(f"{kind}: decides {accuracy:.1%} of held-out texts as planted, {obeys:.1%} where the rest contradicts")
        for kind, accuracy, obeys in report.accuracy
    ]
    notes = (
        f"Shares of {report.size.texts} texts each: {', '.join(KINDS)}. Dim: the method's own checks fail on more than "
        f"{1 - PASSING:.0%} of the texts of a kind, so it owes nothing here.",
        "held: the share of words whose 95 % interval holds the exact value, at the moment the method stops "
        f"(expected: {COVERED[0]:.0%} to {COVERED[1]:.0%}).",
    )
    kept = [
        Text(f"{'✓' if p.kept else '✗'} {p.claim} ({p.seen}).", style="green" if p.kept else "bold red")
        for p in report.promises
    ]
    return Group(*learned, Text(), grid, Text(), *(Text(n, style="dim") for n in notes), Text(), *kept)


def _shares(shares: Mapping[Kind, float], least: float) -> Text:
    """One percentage a kind; those below the threshold stand out."""
    line = Text()
    for share in shares.values():
        line.append(f"{100 * share:4.0f} %", style="" if share >= least else "yellow")
    return line if shares else Text("not judged")


def _exactness(row: Row) -> str:
    if row.covered is not None and row.covered_error is not None:
        return f"held {row.covered:.1%} ± {1.96 * row.covered_error:.1%}"
    known = [f"to {row.direct:.0e} of direct calls"] if row.direct is not None else []
    known += [f"to {row.exact:.0e} on paper"] if row.exact is not None else []
    return ", ".join(known)
