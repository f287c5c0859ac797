"""SECURITY.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".github" / "SECURITY.md").read_text("utf-8")
NAMED = re.findall(r"`((?:browser/)?test_\w+\.py)::(test_\w+)`", TEXT)


def test_every_named_test_exists() -> None:
    assert len(NAMED) > 20
    for file, name in NAMED:
        folder = "" if "/" in file else "unit"
        tree = ast.parse((ROOT / "tests" / folder / file).read_text("utf-8"))
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, f"{file}::{name}"


def test_every_row_names_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| [SMCFpi]\w*\d|\| privacy|\| image|\| login", line)]
    assert len(rows) > 15
    assert all("::test_" in row for row in rows)
