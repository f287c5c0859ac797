"""A record's provenance in the words of W3C PROV: which activities, of whom, made which things out of which.

Made from envelopes alone, so it holds nothing of the text and can be made of an erased record, too. The form is
PROV-JSON (W3C member submission, 24 April 2013, https://www.w3.org/Submission/prov-json/); the terms are those of
PROV-DM (W3C recommendation, 30 April 2013).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from explain.audit.entry import Entry
from explain.audit.records import Header

PREFIX = {"wb": "urn:whyboard:prov:"}
SOFTWARE = "wb:whyboard"


class Document:
    """PROV-JSON as it grows: elements by kind and name, relations by kind and number."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {"prefix": PREFIX}

    def element(self, kind: str, name: str, **attributes: Any) -> str:
        """Add an entity, activity or agent and give its name; what is None is left out."""
        self.parts.setdefault(kind, {})[name] = {
            k.replace("__", ":"): v for k, v in attributes.items() if v is not None
        }
        return name

    def relation(self, kind: str, **ends: str | None) -> None:
        """Add a relation between two elements."""
        known = self.parts.setdefault(kind, {})
        known[f"_:{kind}{len(known) + 1}"] = {f"prov:{name}": end for name, end in ends.items() if end is not None}


def document(entry: Entry, events: Sequence[Entry] = ()) -> Mapping[str, Any]:
    """The provenance of a filed record and of the events about it, oldest first, as PROV-JSON.

    Entities are the explanation (the content that can be erased), its files, the envelope, the model and each event;
    activities are computing, filing, and what each event did; agents are Whyboard and the people named.
    """
    found, header = Document(), entry.header
    _software(found, header)
    content, envelope = f"wb:content-{header.id}", f"wb:envelope-{header.id}"
    found.element("entity", content, prov__type=_name("wb:Explanation"), wb__methods=", ".join(header.methods))
    _envelope(found, entry)
    found.relation("wasDerivedFrom", generatedEntity=envelope, usedEntity=content)
    _computing(found, header, content)
    filing = found.element(
        "activity",
        f"wb:filing-{header.id}",
        prov__startTime=header.recorded,
        prov__endTime=header.recorded,
        prov__type=_name("wb:Filing"),
        wb__case=header.purpose.case_id,
        wb__intendedUse=header.purpose.intended_use,
    )
    found.relation("used", activity=filing, entity=content)
    found.relation("wasGeneratedBy", entity=envelope, activity=filing, time=header.recorded)
    _acted(found, filing, header)
    for f in header.files:
        file = found.element(
            "entity",
            f"wb:file-{header.id}-{f.name}",
            prov__label=f.name,
            wb__mediaType=f.media_type,
            wb__bytes=f.size,
            wb__hmacSha256=f.commitment,
        )
        found.relation("wasGeneratedBy", entity=file, activity=filing, time=header.recorded)
        found.relation("wasDerivedFrom", generatedEntity=file, usedEntity=content)
    for event in events:
        _event(found, event, content)
    return found.parts


def _software(found: Document, header: Header) -> None:
    versions = {f"wb__version_{k.replace('-', '_')}": v for k, v in header.environment.versions.items()}
    found.element(
        "agent",
        SOFTWARE,
        prov__type=_name("prov:SoftwareAgent"),
        prov__label="Whyboard",
        wb__codeSha256=header.environment.code_sha256,
        **versions,
    )


def _computing(found: Document, header: Header, content: str) -> None:
    """The model answered and was explained: when, with which model, on what."""
    env = header.environment
    ended = None
    if header.began is not None and header.seconds is not None:
        ended = (datetime.fromisoformat(header.began) + timedelta(seconds=header.seconds)).isoformat()
    computing = found.element(
        "activity",
        f"wb:computing-{header.id}",
        prov__startTime=header.began,
        prov__endTime=ended,
        prov__type=_name("wb:Computing"),
        wb__device=env.device,
        wb__dtype=env.dtype,
        wb__kernel=env.kernel,
        wb__threads=env.threads,
        wb__seed=env.seed,
    )
    found.relation("wasGeneratedBy", entity=content, activity=computing, time=ended)
    found.relation("wasAssociatedWith", activity=computing, agent=SOFTWARE)
    if header.model is not None:
        model = found.element(
            "entity",
            f"wb:model-{header.model.weights_sha256}",
            prov__type=_name("wb:Model"),
            prov__label=header.model.id,
            wb__revision=header.model.revision,
            wb__weightsSha256=header.model.weights_sha256,
            wb__tokenizerSha256=header.model.tokenizer_sha256,
            wb__licence=header.model.licence,
        )
        found.relation("used", activity=computing, entity=model)


def _envelope(found: Document, entry: Entry) -> None:
    header = entry.header
    found.element(
        "entity",
        f"wb:envelope-{header.id}",
        prov__type=_name("wb:Envelope"),
        wb__kind=header.kind,
        wb__store=header.store,
        wb__sequence=header.sequence,
        wb__sha256=entry.digest,
        wb__previousSha256=header.previous,
        wb__signed=header.signed,
    )


def _event(found: Document, event: Entry, content: str) -> None:
    """Something that was added to the record, or done to it."""
    header = event.header
    said = {f"wb__{k}": v for k, v in header.detail.items() if isinstance(v, str | bool | int | float)}
    act = found.element(
        "activity",
        f"wb:event-{header.id}",
        prov__startTime=header.recorded,
        prov__endTime=header.recorded,
        prov__type=_name(f"wb:{header.kind.title().replace(' ', '')}"),
        **said,
    )
    _envelope(found, event)
    found.relation("wasGeneratedBy", entity=f"wb:envelope-{header.id}", activity=act, time=header.recorded)
    found.relation("used", activity=act, entity=f"wb:envelope-{header.about}")
    _acted(found, act, header)
    if header.kind == "erase":
        found.relation("wasInvalidatedBy", entity=content, activity=act, time=header.recorded)


def _acted(found: Document, activity: str, header: Header) -> None:
    """Who did it: the software for a person, where one is named."""
    found.relation("wasAssociatedWith", activity=activity, agent=SOFTWARE)
    if header.who.actor is not None:
        name = f"wb:actor-{''.join(c if c.isalnum() else f'_{ord(c):x}_' for c in header.who.actor)}"
        found.element("agent", name, prov__label=header.who.actor, wb__knownBy=header.who.auth)
        found.relation("wasAssociatedWith", activity=activity, agent=name)
        found.relation("actedOnBehalfOf", delegate=SOFTWARE, responsible=name, activity=activity)


def _name(value: str) -> Mapping[str, str]:
    return {"$": value, "type": "prov:QUALIFIED_NAME"}
