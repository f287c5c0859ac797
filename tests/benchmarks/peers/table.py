"""What the peers' runs come to: seconds, ratios with intervals, and how right each answer was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

RESULTS = Path(__file__).parents[1] / "results" / "peers.json"
DRAWS, WITHIN = 4000, 0.01
EXACT = "exact_shapley/alone"


@dataclass(frozen=True)
class Peer:
    """One thing that is timed: `script` of this folder with a `variant`, in an environment ('' is ours).

    `game` says that it gives Shapley values of the words, and is held against exact ones; the others add up to the
    change of the decision, and are held to that.
    """

    title: str
    script: str
    variant: str
    environment: str = ""
    game: bool = False


def summary(peers: Sequence[Peer], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All figures of all peers; ratios to our first peer of the same kind, so many times as long."""
    seconds = {peer.title: _seconds([r for r in rows if r["peer"] == peer.title]) for peer in peers}
    last = {(row["peer"], row["text"]): row for row in rows}
    found = []
    for peer in peers:
        own = [row for (title, _), row in last.items() if title == peer.title]
        first = next(p for p in peers if p.game == peer.game and p.script == "ours")
        found.append(
            {
                "peer": peer.title,
                "game": peer.game,
                "seconds": round(float(np.median(seconds[peer.title])), 4),
                "ratio": _ratio(seconds[peer.title], seconds[first.title]),
                "passes": [float(np.median([row["passes"][i] for row in own])) for i in (0, 1)] if own else None,
                **(_against_exact(peers, peer, last) if peer.game else _within(own)),
            }
        )
    return {"peers": found}


def _seconds(rows: Sequence[dict[str, Any]]) -> Float64[np.ndarray, "N"]:
    """Each text's median over rounds, in the order of the texts."""
    texts = sorted({row["text"] for row in rows})
    return np.array([np.median([row["seconds"] for row in rows if row["text"] == text]) for text in texts])


def _ratio(theirs: Float64[np.ndarray, "N"], ours: Float64[np.ndarray, "N"]) -> list[float]:
    """Their time for all texts over ours, with a 95 % interval by drawing texts with replacement."""
    drawn = np.random.default_rng(0).integers(0, len(ours), (DRAWS, len(ours)))
    low, high = np.percentile(theirs[drawn].sum(1) / ours[drawn].sum(1), [2.5, 97.5])
    return [round(float(x), 2) for x in (theirs.sum() / ours.sum(), low, high)]


def _within(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    known = [row["relative"] for row in rows if row["relative"] is not None]
    return {"within": round(float(np.mean(np.array(known) <= WITHIN)), 4) if known else None}


def _against_exact(peers: Sequence[Peer], peer: Peer, last: dict[tuple[str, int], Any]) -> dict[str, Any]:
    """Median over texts of the largest error of a word, as a share of the largest exact value."""
    exact = next((p.title for p in peers if p.variant == EXACT), None)
    errors = []
    for (title, text), row in last.items():
        if title == peer.title and (exact, text) in last:
            true = np.array(last[exact, text]["scores"])
            errors.append(np.abs(np.array(row["scores"]) - true).max() / np.abs(true).max())
    return {"error": round(float(np.median(errors)), 5) if errors else None}


def table(found: dict[str, Any], game: bool) -> str:
    """One of the two tables in Markdown."""
    right = "largest error of a word" if game else "within 1 %"
    lines = [f"| | seconds a text | times ours | forward + gradient passes | {right} |", "|---|--:|--:|--:|--:|"]
    for each in found["peers"]:
        if each["game"] == game:
            ratio, low, high = each["ratio"]
            value = each["error"] if game else each["within"]
            passes = "" if each["passes"] is None else "{:g} + {:g}".format(*each["passes"])
            lines.append(
                f"| {each['peer']} | {each['seconds']:.3f} | {ratio:.2f} ({low:.2f} to {high:.2f}) | {passes} | "
                + ("" if value is None else f"{100 * value:.3g} %")
                + " |"
            )
    return "\n".join(lines)


def explained(found: dict[str, Any]) -> str:
    """What stands in the tables."""
    made = found["made"]
    best = made["limits"]
    return (
        f"The same model, texts and threads for all ({made['machine']}), each peer in a process of its own, in turn, "
        f"rounds: {made['rounds']}; {made['texts']['gradients']} development sentences one at a time, and "
        f"{made['texts']['Shapley values']} of up to 12 words, each a single token, for Shapley values. Seconds are "
        "medians; ratios are of all texts' time, with 95 % intervals over texts. In the same run the machine's matrix "
        f"products reached {best['float32'] / 1e9:.0f} GFLOP/s in float32 and {best['bfloat16'] / 1e9:.0f} in "
        f"bfloat16, and copies {best['bandwidth'] / 1e9:.0f} GB/s. Made by `make bench`."
    )


def report(found: dict[str, Any]) -> str:
    """Everything, to be printed, and the README's block."""
    return f"{explained(found)}\n\n{table(found, False)}\n\n{table(found, True)}"


def markdown() -> str:
    """The README's block from what was kept."""
    return report(json.loads(RESULTS.read_text("utf-8")))
