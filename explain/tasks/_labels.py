"""Labels of a head: which one a person means, and how a sentence writes it."""

from __future__ import annotations

from explain.errors import InputError


def find(labels: tuple[str, ...], wish: str | int) -> int:
    """The index of the label that a person means; raises InputError where there is none, or several."""
    if isinstance(wish, bool) or not isinstance(wish, (str, int)):
        raise InputError(f"Expected a label or a class index, got {wish!r:.40}.", code="bad_target")
    found = [i for i, label in enumerate(labels) if label == wish]
    if not found and len(str(wish)) < 9 and str(wish).isdecimal() and int(wish) < len(labels):
        return int(wish)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{len(found)} labels are called '{str(wish)[:80]}'. Give an index, such as {found[0]}.", code="bad_target"
        )
    some = ", ".join(repr(label[:80]) for label in labels[:20]) + (" …" if len(labels) > 20 else "")
    raise InputError(
        f"There is no label '{str(wish)[:80]}'. This model has: {some} (or an index from 0 to {len(labels) - 1}).",
        code="bad_target",
    )


def named(labels: tuple[str, ...], index: int) -> str:
    """The label, cut to what a sentence can hold, with its index where several share the name."""
    label = labels[index]
    cut = label if len(label) <= 80 else f"{label[:79]}…"
    return cut if labels.count(label) == 1 else f"{cut} (#{index})"
