"""What happens inside → terminal: the same sentences and tables as the Inside page."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from explain.lens import Direct, Inside, Lens
from explain.render import further, road
from explain.render import road_sentences as say
from explain.render.pieces import visible
from explain.road import Road


def inside(found: Road | Inside) -> RenderableType:
    """The sentence and the tables of a road, a lens, direct contributions or exchanged states, and their limits."""
    if isinstance(found, Road):
        return _road(found)
    if isinstance(found, Lens):
        said, tables = further.lens_sentence(found), [further.lens_table(found)]
    elif isinstance(found, Direct):
        said, tables = further.direct_sentence(found), [further.direct_table(found)]
    else:
        ways = ((found.into, found.control_into), (found.back, found.control_back))
        said, tables = further.patch_sentence(found), [further.patch_table(found, *way) for way in ways]
    return Group(Text(visible(said)), *(_table(*t) for t in tables), Text(found.caveat, style="dim"))


def _road(found: Road) -> RenderableType:
    title = f"“{road.name(found, found.token)}” in layer {found.layer}, head {found.head}"
    scored = ("looks at", "q · k", "÷ scale", "bias or mask", "softmax", "length of v", "weight × length")
    gate = () if found.feed_forward is None or found.feed_forward.gate is None else ("gate",)
    return Group(
        Text(title, style="bold"),
        _table(("vector", "from", "length", "first numbers"), road.embedding_rows(found)),
        Text(visible(say.attention_sentence(found))),
        _table(scored, road.attention_rows(found)),
        _table(("vector", "", "length", "first numbers"), road.sum_rows(found)),
        _table(road.NORM_COLUMNS, road.norm_rows(found.norms)),
        Text(visible(say.neuron_sentence(found))),
        _table(("neuron", *gate, "before", "after", "length of what it adds"), road.neuron_rows(found)),
        _table(("outcome", "w · h", "constant", "logit"), road.answer_rows(found)),
        *(Text(visible(reason), style="dim") for reason in found.reasons.values()),
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for i, name in enumerate(head):
        table.add_column(Text(visible(name)), justify="right" if i else "left")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table
