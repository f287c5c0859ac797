"""The command line, as a shell sees it: output, sentences, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import explain
from explain.arguments import parameters
from explain.engine import Model
from explain.errors import MethodError
from tests.conftest import undated

TEXT = "a good movie, but never very funny"


def test_json_equals_python(run, tiny: Model, tiny_folder: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("run", TEXT, "--model", str(tiny_folder), "--json")
    assert code == 0
    assert undated(out.rstrip("\n")) == undated(tiny.explain(TEXT).to_json())
    assert explain.read(out).tokens.texts == (TEXT,)


def test_options_reach_the_request(run, tiny: Model, tiny_folder: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run(
        *("run", "-", "--model", str(tiny_folder), "--json", "-m", "occlusion", "-m", "saliency", "--no-checks"),
        *("-p", "occlusion.replacement=remove", "--target", "NEGATIVE", "--quantity", "margin"),
        *("--granularity", "token", "--attention", "1", "--seed", "7"),
        stdin=(TEXT + "\n").encode(),
    )
    assert code == 0
    found = explain.read(out)
    assert found.tokens.texts == (TEXT,)
    assert [a.method for a in found.attributions] == ["occlusion", "saliency"]
    assert found.attributions[0].params == {"replacement": "remove"}
    assert found.target.name == "NEGATIVE"
    assert found.target.kind == "margin"
    assert found.attributions[0].granularity == "token"
    assert found.attention is not None
    assert [a.layer for a in found.attention] == [1]
    assert found.provenance.seed == 7
    assert found.checks == ()


def test_thorough_means_every_check_and_enough_orders(run, tiny: Model, tiny_folder: Path) -> None:  # type: ignore[no-untyped-def]
    asked = ("run", "a very good film", "--model", str(tiny_folder), "-m", "occlusion", "--rationale", "very good")
    code, out, _ = run(*asked, "--thorough", "--json")
    assert code == 0
    found = explain.read(out)
    whole = tiny.explain(
        "a very good film", methods=["occlusion"], checks=explain.list_checks(), orders=200, rationale=["very good"]
    )
    assert undated(found.to_json()) == undated(whole.to_json())
    assert {"stability", "plausibility", "learned"} <= {c.name for c in found.checks}
    code, out, _ = run(*asked)
    assert "Do people point at the same words?" in out
    code, _, error = run("run", "a film", "--model", str(tiny_folder), "--rationale", "plot")
    assert code == 2
    assert "does not contain" in error


def test_the_terminal_shows_words_and_checks(run, tiny_folder: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("run", TEXT, "--model", str(tiny_folder), "--contrast", "NEGATIVE", "--target", "POSITIVE")
    assert code == 0
    assert "The model reads this as" in out
    assert "POSITIVE rather than NEGATIVE" in out
    assert "Computed correctly?" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", ""], "empty"),
        (["run", TEXT, "--model", "no such model"], "There is no model"),
        (["run", TEXT, "-m", "nonsense"], "There are: integrated_gradients"),
        (["run", TEXT, "-p", "tolerance"], "name=value"),
        (["run", TEXT, "-p", "tolerance=5"], "from 1e-06 to 1"),
        (["run", TEXT, "-p", "nonsense=5"], "has no parameter"),
        (["run", TEXT, "--target", "MAYBE"], "There is no label"),
        (["run", TEXT, "--target", "POSITIVE", "--contrast", "POSITIVE"], "two different labels"),
        (["run", TEXT, "--quantity", "vibes"], "log_odds"),
        (["run", TEXT, "--granularity", "letter"], "word, token"),
        (["run", TEXT, "--attention", "9"], "layers from 0 to 1"),
        (["run", TEXT, "--device", "abacus"], "not available"),
        (["run", TEXT, "--dtype", "int3"], "There is no dtype"),
        (["run", TEXT, "--task", "divination"], "There is no task"),
        (["run", "a good movie " * 60], "truncate"),
        (["run", TEXT, "--pair", ""], "empty"),
    ],
)
def test_bad_requests_get_one_sentence(run, tiny_folder: Path, arguments: list[str], sentence: str) -> None:  # type: ignore[no-untyped-def]
    model = [] if "--model" in arguments else ["--model", str(tiny_folder)]
    code, out, err = run(*arguments, *model)
    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 4


def test_bytes_that_are_not_utf8(run) -> None:  # type: ignore[no-untyped-def]
    code, _, err = run("run", "-", stdin=b"good \xff movie")
    assert code == 2
    assert "not UTF-8 (byte 5)" in err


def test_interrupt_is_130(run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "load", stop)
    code, _, err = run("run", TEXT)
    assert code == 130
    assert "Traceback" not in err


def test_lists_are_json_too(run) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("methods", "--json")
    assert code == 0
    assert [m["name"] for m in json.loads(out)] == [m.name for m in explain.list_methods()]
    assert json.loads(run("models", "--json")[1])[0]["name"] == "sentiment"
    assert "sentiment" in run("models")[1]
    assert "integrated_gradients" in run("methods")[1]


def test_settings_name_their_variables(run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    _, out, _ = run("settings")
    assert "EXPLAIN_MAX_CHARACTERS=" in out
    code = "from explain.settings import settings; print(settings().max_characters)"
    monkeypatch.setenv("EXPLAIN_MAX_CHARACTERS", "77")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "77"


def test_parameters_are_read_as_what_they_are() -> None:
    assert parameters(["a=0.5", "b=3", "c=true", "d=mask", "m.e=1"]) == {
        "a": 0.5,
        "b": 3,
        "c": True,
        "d": "mask",
        "m": {"e": 1},
    }
    with pytest.raises(MethodError):
        parameters(["=1"])


def test_the_installed_command_works() -> None:
    program = Path(sys.executable).with_name("explain")
    out = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    for command in ("run", "models", "methods", "train", "dashboard", "settings"):
        assert f"  {command} " in out
