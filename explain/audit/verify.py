"""Is anything changed since it was filed? Levels V1 (bytes), V2 (order) and V4 (model); no torch, no network.

V3 (trusted time) has its place here once time-stamp authorities are supported; V5 (numbers) is `explain.replay`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from securesystemslib.signer import SSlibKey

from explain.audit import building
from explain.audit.keys import Keys, as_key, fingerprint, read_public
from explain.audit.records import Header
from explain.audit.store import Store
from explain.audit.verdict import Fault, Verdict
from explain.audit.walk import Verifier
from explain.errors import AuditError


def store(found: Store, trusted: Mapping[str, SSlibKey] | None = None, store_id: str | None = None) -> Verdict:
    """Verify a whole store: V1 and V2.

    Args:
        found: the store.
        trusted: keys that are believed; None for those in the store's own folder.
        store_id: the id that the store must have, as somebody wrote it down; None if nobody did.
    """
    return Verifier(found, trusted).all(store_id)


def record(
    found: Store, wanted: str | int, trusted: Mapping[str, SSlibKey] | None = None, *, model: str | None = None
) -> Verdict:
    """Verify one record with what was said about it: V1, and V4 where the model's files are at hand. An event is
    verified with the record that it is about.

    Raises:
        AuditError: there is no such record, or no such model.
    """
    root = found.root(wanted)
    verdict = Verifier(found, trusted).one(root)
    if verdict.faults:
        return verdict
    return with_model(verdict, found.read(root, checked=False).header, model)  # the keys given have just been asked


def with_model(verdict: Verdict, header: Header, model: str | None) -> Verdict:
    """The same verdict with V4: are the model's files at hand (under the name or folder `model`) the ones recorded?"""
    if header.model is None:
        return verdict
    source = building.model_source(header.model, model)
    if source is None and model is not None:
        raise AuditError(
            f"There is no model '{model[:80]}' on this machine, so V4 cannot be checked.", code="model_not_found"
        )
    if source is None:
        note = f"V4 not checked: the model {header.model.id} is not on this machine. Name its folder with --model."
        return dataclasses.replace(verdict, notes=(*verdict.notes, note))
    faults = []
    if source.weights_sha256() != header.model.weights_sha256:
        faults.append(Fault("V4", "weights", "the weights at hand are not the ones that decided"))
    if source.tokenizer_sha256() != header.model.tokenizer_sha256:
        faults.append(Fault("V4", "tokenizer", "the tokenizer at hand is not the one that read the text"))
    at_hand = {(name.rpartition("/")[2], digest) for name, digest in building.manifest(source)}
    for name, digest in header.model_files or ():  # a copy may lie in a folder of another name
        own = name.rpartition("/")[2]
        if (own, digest) not in at_hand:
            missing = own not in {name for name, _ in at_hand}
            faults.append(Fault("V4", name, "the file is missing" if missing else "the file was changed"))
    levels = {**verdict.levels, "V4": "broken" if faults else "holds"}
    return dataclasses.replace(verdict, levels=levels, faults=(*verdict.faults, *faults))


def pinned(path: Path | None) -> Mapping[str, SSlibKey] | None:
    """The keys in a file or a folder `trusted` that a person names; None for those of the store."""
    if path is None:
        return None
    if path.is_dir():
        return Keys(path).trusted()
    try:
        public = read_public(path.read_bytes())
    except OSError:
        raise AuditError(f"There is no key file '{path.name[:80]}'.", code="bad_key") from None
    return {fingerprint(public): as_key(public)}
