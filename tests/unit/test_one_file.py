"""A new method or check is one new file: page, command line and contract suite find it by themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import search_path

ROOT = Path(__file__).resolve().parents[2]
METHOD = '''"""Length: a word's score is how long it is.

A toy for the test that a file is enough. It is exact, and it says
nothing about the model.
"""

from dataclasses import dataclass

import numpy as np

from explain.case import Ask, Case, Steps
from explain.methods import method
from explain.plugins import number
from explain.records import Attribution


@dataclass(frozen=True)
class Params:
    """`power` of the length."""

    power: float = number(1.0, 0.5, 2.0, help="power of the length")


@method(title="Length", family="toy", cite="nobody", misleads="Always.", signed=False, cost=lambda units: (1, 0))
def length(case: Case, params: Params) -> Steps[Attribution]:
    """Counts letters."""
    answer = yield Ask([case.row()])
    scores = np.diff(case.units.spans, axis=1)[:, 0].astype(float) ** params.power
    return case.attribution(unit_scores=scores, value_input=float(answer.values[0]))
'''
CHECK = '''"""Is it short?"""

from explain.case import Case, Steps
from explain.checks import Found, check
from explain.records import Attribution, Check


@check(stage="Looking at the length")
def brevity(case: Case, attribution: Attribution, found: Found) -> Steps[tuple[Check, ...]]:
    """Passes for short texts."""
    yield from ()
    return (Check("brevity", 0, "robust", "pass", "The text is short."),)
'''
PAGE = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("explain/dashboard/main.py", default_timeout=100)
app.query_params["method"] = "length"
app.session_state["settings"] = True
app.run()
assert app.session_state["job"].wait(100)
app.run()
assert not app.exception
assert any("Length" in option for option in app.radio(key="pick.toy").options)
assert app.number_input(key="p.length.power").value == 1.0
assert "The text is short." in "".join(e.proto.body for e in app.get("html"))
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one file more in each of two folders."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("explain", "tests", "models", "assets"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "explain" / "methods" / "length.py").write_text(METHOD)
    (folder / "explain" / "checks" / "brevity.py").write_text(CHECK)
    return folder


def python(checkout: Path, *arguments: str, **env: str) -> str:
    """Run Python in the copy; what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": search_path(str(checkout)), **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_line_lists_and_runs_it(checkout: Path, tiny_folder: Path) -> None:
    listed = json.loads(python(checkout, "-m", "explain", "methods", "--json"))
    assert [p["name"] for m in listed if m["name"] == "length" for p in m["params"]] == ["power"]
    words = ("-m", "explain", "run", "a good movie", "--model", str(tiny_folder), "-m", "length", "-p", "power=2")
    found = json.loads(python(checkout, *words, "--json"))
    assert found["attributions"][0]["scores"] == [1, 16, 25]
    assert [c["sentence"] for c in found["checks"] if c["name"] == "brevity"] == ["The text is short."]


def test_the_page_offers_it(checkout: Path, tiny_folder: Path) -> None:
    python(checkout, "-c", PAGE, EXPLAIN_MODEL=str(tiny_folder))


def test_the_contract_suite_runs_it(checkout: Path) -> None:
    said = python(
        checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "says_what and length"
    )
    assert "1 passed" in said
    collected = python(checkout, "-m", "pytest", "-q", "--collect-only", "tests/contract", "-k", "length")
    assert sum("length" in line for line in collected.splitlines()) > 15
