"""Every field that an audit record must have: it is there, it says why where it is null, and it is no constant."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explain import canonical, filing, machine
from explain.audit import building, clock, envelope
from explain.audit import records as audit
from explain.audit.records import Beside, Decision, Purpose, Who
from explain.audit.store import Store
from explain.catalog import Request
from explain.engine import Model, load
from explain.errors import InputError
from explain.heads import HeadsRequest
from explain.records import Machine
from explain.work import Work
from tests.examples import explanation
from tests.tiny import bert_folder

MISSING = object()
FIELDS = {
    "identity": "schema id sequence store previous kind",
    "when": "recorded began seconds clock",
    "who": "who.actor who.auth who.client who.session_sha256 who.request_id",
    "purpose": "purpose.case_id purpose.intended_use purpose.dataset_id purpose.dataset_row purpose.retention "
    "+row_sha256",
    "model": "model.id model.revision model.source model.weights_sha256 model.tokenizer_sha256 model.card_sha256 "
    "model.architecture model.problem model.labels model.loading model.dtype model.kernel model.licence "
    "model.normalizer model_files manifest_sha256 model_signature environment.evaluating",
    "input": "files +characters +kept +flags +unknown +masking +explanation.tokens",
    "output": "+explanation.prediction +explanation.target +why_target +decision +matches",
    "method": "methods libraries environment.seed environment.budget environment.group "
    "+explanation.attributions +asked",
    "result": "+explanation.checks +explanation.warnings +finite +note +beside",
    "environment": "environment.versions environment.device environment.dtype environment.kernel environment.threads "
    "environment.platform environment.processor environment.code_sha256 environment.commit environment.dirty "
    "environment.blas environment.deterministic environment.cublas environment.gpu environment.filed "
    "environment.lock_sha256 environment.sbom_sha256",
    "artefacts": "files.1.name files.1.media_type files.1.size files.1.sha256 files.1.commitment files.1.renderer",
    "limits": "+limits wording",
    "events": "about detail absent +absent signed",
}
"""What reliability asks of a record (section 4), as paths in the header, or with a + in the content."""
ALWAYS_NULL = {"model_signature", "environment.lock_sha256", "environment.sbom_sha256"}
"""Not known to any record yet; each says why."""


def value(entry: dict[str, Any], path: str) -> Any:
    """What stands at a path of a record, `MISSING` where it has no such field."""
    found: Any = entry["content" if path.startswith("+") else "header"]
    for name in path.lstrip("+").split("."):
        if isinstance(found, list):
            found = found[int(name)] if int(name) < len(found) else MISSING
        elif found is not None:
            found = found.get(name, MISSING)
        if found is MISSING:
            return MISSING
    return found


@pytest.fixture(scope="module")
def filed(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Records as different as they can be: a bare one, one of another model with all that can be said, and events."""
    home = tmp_path_factory.mktemp("fields")
    store, other = Store(home / "evidence"), Store(home / "other", signed=False)
    text = "A charming zzz [EMAIL] film."
    asked = Request((text,), ("saliency", "gradient_shap"), target=0, budget=100, seed=4, checks=("completeness",))
    rich = tiny.answer([asked, Request(("So dull.",), asked.methods, checks=())])[0]
    question = HeadsRequest(Request((text,)))
    away = Machine("Plan 9", "a slow one", "1" * 64, "2" * 40, True, "none", {"algorithms": True}, ":4096:8", "a card")
    made = dataclasses.replace(
        explanation().provenance, device="cuda:0", dtype="float16", kernel="eager", threads=9, seed=1, machine=away
    )
    poor = dataclasses.replace(explanation(), provenance=dataclasses.replace(made, evaluating=False))
    bare = store.file(poor)
    full = store.file(
        rich,
        who=Who("ada", "OIDC", "dashboard", "3" * 64, "request 1"),
        purpose=Purpose("4711", "triage", "reviews", "17", "long"),
        asked=asked,
        decision=Decision("POSITIVE", 0.5, 0.4, system="scores", time="2026-01-01T00:00:00+00:00"),
        note="seen",
        masking=audit.Masking("whyboard", "1", ((0, 15, 22, "EMAIL"),)),
        beside=Beside(question, tiny.look(question)),  # type: ignore[arg-type]
        row_sha256="4" * 64,
        pictures=filing.pictures,
        kind="batch item",
    )
    bundled = load("sentiment").explain("So good!", checks=())
    own = store.file(bundled, corrects=bare.header.id, pictures=lambda draft: {"words.svg": b"<svg/>"})
    detail, pages = {"browser": "Chromium 1"}, {"a.png": b"x", "b.pdf": b""}
    drawn = store.add("screenshot", own.header.id, Who("bob"), detail=detail, attached=pages)
    summary = store.summarise([full.header.id], Who("job"), failed=1)
    clean = dataclasses.replace(made, machine=dataclasses.replace(away, dirty=False))
    unsigned = other.file(dataclasses.replace(poor, provenance=clean))
    contents = {e.header.id: store.content(e.header.id) for e in (bare, full, own)}
    entries = [bare, full, own, drawn, summary, unsigned]
    return [
        {"header": canonical.plain(e.header), "content": canonical.plain(contents.get(e.header.id))} for e in entries
    ]


@pytest.mark.parametrize("group", FIELDS)
def test_every_field_is_there_and_no_constant(filed: list[dict[str, Any]], group: str) -> None:
    for path in FIELDS[group].split():
        of = [e for e in filed if e["content"] is not None] if path.startswith("+") else filed
        found = [value(e, path) for e in of]
        known = [v for v in found if v is not MISSING]
        assert len(known) == len(found) or path.startswith("files.1"), f"{path} is missing"
        for entry, one in zip(of, found, strict=True):
            if one is None and not path.startswith("+explanation"):
                half = entry["content" if path.startswith("+") else "header"]
                above = [path.lstrip("+").rsplit(".", n)[0] for n in range(path.count(".") + 1)]
                assert any(half["absent"].get(p) for p in above), f"{path} is null and says no reason"
        if path not in ALWAYS_NULL | {"schema", "wording", "clock", "environment.filed"}:
            assert len({json.dumps(v, sort_keys=True) for v in known}) > 1, f"{path} is {known[0]!r} in every record"
    assert all(value(e, path) is None for path in ALWAYS_NULL for e in filed)


def test_the_specification_says_where_each_of_them_is() -> None:
    page = (Path(building.__file__).parent / "SPECIFICATION.md").read_text("utf-8")
    table = page.split("## Where each field of an audit record is")[1]
    for path in " ".join(FIELDS.values()).split():
        first, _, rest = path.lstrip("+").partition(".")
        name = f"explanation.{rest.partition('.')[0]}" if first == "explanation" else first
        assert f"`{name}`" in table, path


def test_the_code_is_named_by_the_clone_that_it_lies_in(tmp_path: Path) -> None:
    assert machine._commit(tmp_path) == (None, None), "an installed package lies in no clone"
    git = shutil.which("git")
    assert git is not None
    mine = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    (tmp_path / "x").write_text("1")
    for command in (("init", "-q"), ("add", "x"), (*who, "commit", "-qm", "one")):
        subprocess.run([git, *command], cwd=tmp_path, check=True, env=mine)
    machine._commit.cache_clear()
    commit, dirty = machine._commit(tmp_path)
    assert (len(str(commit)), dirty) == (40, False)
    (tmp_path / "x").write_text("2")
    machine._commit.cache_clear()
    assert machine._commit(tmp_path) == (commit, True)


def test_flags_of_this_process_are_recorded(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.here()
    assert before.blas is not None
    assert "not known" not in before.blas
    assert before.cublas is None
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: f"card of {device}")
    torch.use_deterministic_algorithms(True)
    try:
        now = machine.here("cuda:1")
    finally:
        torch.use_deterministic_algorithms(False)
    assert (now.cublas, now.gpu) == (":16:8", "card of cuda:1")
    assert before.deterministic is not None
    assert now.deterministic == {**before.deterministic, "algorithms": True}
    found = tiny.explain("A film.", checks=()).provenance
    assert found.machine == dataclasses.replace(machine.here(), cublas=":16:8")


def test_whether_the_model_infers_is_seen_and_not_assumed(tiny_folder: Path) -> None:
    model = load(str(tiny_folder))
    work = Work(model, [Request(("A film.",))])
    assert work.provenance(None).evaluating is True
    model.module.train()
    assert work.provenance(None).evaluating is False


def test_what_a_model_was_loaded_from_is_recorded(sentiment: Model, tiny: Model, tmp_path: Path) -> None:
    assert tiny.info.loading == {"missing": 0, "adapted": 0, "unexpected": 0}
    assert sentiment.info.loading is not None
    assert sentiment.info.loading["adapted"] > 0, "its head comes from the adapter"
    assert tiny.info.card_sha256 is None
    assert tiny.info.normalizer is not None
    assert "lowercase=True" in tiny.info.normalizer
    folder = bert_folder(tmp_path / "model")
    (folder / "README.md").write_text("A card.")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "normalizer": None}))
    weights = torch.zeros(3)
    from safetensors.torch import load_file, save_file

    save_file(
        {**load_file(folder / "model.safetensors"), "extra": weights}, folder / "model.safetensors", {"format": "pt"}
    )
    info = load(str(folder)).info
    assert info.loading == {"missing": 0, "adapted": 0, "unexpected": 1}
    assert info.card_sha256 == hashlib.sha256(b"A card.").hexdigest()


def test_whose_code_a_method_is(tiny: Model) -> None:
    made = tiny.explain("A film.", methods=["gradient_shap", "occlusion"], checks=()).provenance
    own = f"whyboard {machine.versions()['whyboard']}"
    assert made.libraries == {"gradient_shap": f"{own}, captum {machine.versions()['captum']}", "occlusion": own}
    assert machine.library("numpy.linalg") == f"numpy {np.__version__}"
    assert set(made.cautions) == {"gradient_shap", "occlusion"}


def test_a_clock_is_synchronised_or_not_or_nobody_knows() -> None:
    assert len({clock.words(answer) for answer in (-1, 0, 5)}) == 3
    assert clock.words(0) == clock.words(1) != clock.words(5)
    assert clock.state() in {clock.words(answer) for answer in (-1, 0, 5)}


def test_the_wording_has_a_version() -> None:
    """Whoever changes what is said of every explanation changes WORDING, so that a record tells which it said."""
    digest = hashlib.sha256("\n".join(building.LIMITS).encode()).hexdigest()
    assert {audit.WORDING: digest} == {"2026-11": WORDED}


WORDED = "463f0a7fea9a1d8073c613e46a6ca5fdb2a26318c410d86e5e51dfb69f29403c"


def test_numbers_that_are_none_are_not_filed(tmp_path: Path) -> None:
    store, good = Store(tmp_path / "evidence"), explanation()
    scores = good.attributions[0].scores.copy()
    scores[2] = np.nan
    bad = dataclasses.replace(good, attributions=(dataclasses.replace(good.attributions[0], scores=scores),))
    with pytest.raises(InputError, match="NaN") as refused:
        store.file(bad)
    assert refused.value.code == "not_finite"
    content = store.content(store.file(good).header.id)
    assert content.finite == count(canonical.plain(good))


def count(found: Any) -> int:
    if isinstance(found, dict):
        return sum(map(count, found.values()))
    return sum(map(count, found)) if isinstance(found, list) else isinstance(found, float)


def test_what_a_former_version_did_not_record_is_said(tmp_path: Path) -> None:
    """An explanation of a former version, filed today: null, with the reason, and not what is true of this machine."""
    header = Store(tmp_path / "evidence").file(explanation()).header
    assert (header.environment.platform, header.environment.blas) == (None, None)
    assert "former version" in header.absent["environment.platform"]
    assert "former version" in header.absent["environment.cublas"]
    assert "lock file" in header.absent["environment.lock_sha256"]
    assert header.environment.filed is not None
    assert header.environment.filed["processor"] == machine.processor()


def test_a_row_is_named_by_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "evidence")
    with pytest.raises(InputError, match="64 digits"):
        store.file(explanation(), row_sha256="the row")
    filed = store.file(explanation(), row_sha256="a" * 64)
    assert store.content(filed.header.id).row_sha256 == "a" * 64
    assert "a" * 64 not in envelope.unwrap(filed.bytes, envelope.PAYLOAD).payload.decode(), "it could be guessed there"
