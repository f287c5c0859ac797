"""Where the time went: stages, and a flame graph that holds no text."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from explain.engine import Model
from explain.errors import InputError
from explain.profiling import REST, profiled

TEXT = "a zebra in a good movie"


def test_stages_sum_to_the_whole(tiny: Model, tmp_path: Path) -> None:
    with profiled(tmp_path / "p.html") as found:
        for seed in range(4):
            tiny.explain(TEXT, methods=["integrated_gradients", "kernel_shap"], seed=seed)
    assert {"forward", "backward"} <= set(found.seconds)
    assert list(found.seconds.values()) == sorted(found.seconds.values(), reverse=True)


def test_the_command_prints_stages_and_writes_a_page_of_its_own(tiny_folder: Path, tmp_path: Path, run: Any) -> None:
    page = tmp_path / "profile.html"
    code, out, err = run("run", TEXT, "--model", str(tiny_folder), "--profile", str(page), "--json")
    assert code == 0
    assert out.startswith("{"), "what is printed stays what it was"
    assert "Where" in err
    assert "forward" in err
    written = page.read_text("utf-8")
    assert "<script" in written
    assert "zebra" not in written
    assert written.index("default-src 'none'") < written.index("<script"), "the browser fetches nothing for it"


def test_a_place_that_cannot_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"), profiled(tmp_path / "no" / "p.html"):
        pytest.fail("nothing is computed")


def test_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pyinstrument"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [n for n in sys.modules if n.startswith("pyinstrument")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"pip install -e '\.\[profile\]'"), profiled(tmp_path / "p.html"):
        pytest.fail("nothing is computed")


def test_code_outside_of_whyboard_is_everything_else(tmp_path: Path) -> None:
    with profiled(tmp_path / "p.html") as found:
        sum(i * i for i in range(3_000_000))
    assert list(found.seconds) == [REST]
