"""What holds of a whole continuation, whichever kind of model says how likely it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explain.audit.store import Store
from explain.engine import Model
from explain.replay import replay
from tests import rest
from tests.conftest import undated


def is_repeated_to_the_bit(model: Model, home: Path, text: str, end: str, other: str) -> None:
    """A filed record, computed again."""
    store = Store(home)
    entry = store.file(model.explain(text, continuation=end, contrast=other, checks=()))
    result = replay(model, entry.header, store.content(entry.header.id))
    assert result.holds
    assert all(part.bitwise for part in result.parts)


def is_the_same_on_three_faces(model: Model, folder: Path, run: Any, text: str, end: str, other: str) -> None:
    """Python, the command line and REST give the same record."""
    mine = undated(model.explain(text, continuation=end, contrast=other, checks=()).to_json())
    options = ("--continuation", end, "--contrast", other, "--no-checks", "--json")
    code, out, _ = run("run", text, "--model", str(folder), *options)
    assert code == 0
    with rest.client(rest.application(folder)) as web:
        parameters = {"continuation": end, "contrast": other, "checks": []}
        answer = web.post("/v1/explain", json={"inputs": text, "parameters": parameters})
    assert mine == undated(out).strip() == undated(answer.text)
