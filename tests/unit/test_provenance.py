"""A record's provenance is PROV as the library `prov` reads it, complete, and without a word of the text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvElement, ProvEntity, ProvRelation

from explain import filing
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
from tests import examples


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("provenance") / "evidence")
    who = Who("Ada “Zoë” 山田")
    record = made.file(
        examples.explanation(), who=who, purpose=Purpose("4711"), note="secret", pictures=filing.pictures
    )
    made.review(record.header.id, Who("bob"), agree=True, sign_off=True, note="secret, too")
    made.erase(record.header.id, Who("eve"), "asked by the person")
    return made


def exported(run, store: Store, tmp_path: Path, wish: str = "1") -> str:  # type: ignore[no-untyped-def]
    path = tmp_path / "one.json"
    assert run("evidence", "export", wish, "--prov", "-o", str(path), "--store", str(store.home))[0] == 0
    return path.read_text("utf-8")


def test_the_librarys_own_reader_understands_all_of_it(run, store: Store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = exported(run, store, tmp_path)
    read = ProvDocument.deserialize(content=text, format="json")
    written = json.loads(text)
    assert len(read.records) == sum(len(part) for kind, part in written.items() if kind != "prefix")
    assert ProvDocument.deserialize(content=read.serialize(format="json"), format="json") == read, "nothing is lost"
    known = {str(e.identifier) for e in read.get_records(ProvElement)}
    for relation in read.get_records(ProvRelation):
        ends = {str(value) for name, value in relation.formal_attributes if name.localpart not in ("time",)}
        assert ends <= known | {"None"}, relation
    header = store.read(1).header
    entities = {str(e.identifier): e for e in read.get_records(ProvEntity)}
    assert {f"wb:file-{header.id}-{f.name}" for f in header.files} < entities.keys()
    model = entities[f"wb:model-{'1' * 64}"]
    assert model.get_attribute("prov:label") == {"example"}
    assert {next(iter(a.get_attribute("prov:label"))) for a in read.get_records(ProvAgent)} == {
        *("Whyboard", "Ada “Zoë” 山田", "bob", "eve")
    }
    acts = {str(a.identifier): a for a in read.get_records(ProvActivity)}
    computing = acts[f"wb:computing-{header.id}"]
    assert (computing.get_endTime() - computing.get_startTime()).total_seconds() == pytest.approx(header.seconds)
    assert len(acts) == 4, "computing, filing, the review and the erasure"
    (gone,) = written["wasInvalidatedBy"].values()
    assert gone["prov:entity"] == f"wb:content-{header.id}"


def test_it_holds_no_text_and_no_note_and_is_the_same_for_what_was_said_about_it(
    run, store: Store, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    text = exported(run, store, tmp_path)
    for word in (*examples.TEXT.split(), "secret", "POSITIVE"):
        if len(word) > 3:
            assert word not in text
    assert "asked by the person" in text, "the reason stays in the chain"
    assert exported(run, store, tmp_path, "2") == text, "an event is exported with its record"
    assert run("evidence", "export", "--prov", "-o", str(tmp_path / "x"), "--store", str(store.home))[0] == 2
