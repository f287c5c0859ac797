"""Records for somebody else: one zip file that can be verified with nothing but SPECIFICATION.md.

    envelopes/000000000007.json   the envelope's exact bytes, named by sequence number
    files/ID/NAME                 the content, decrypted
    openings.json                 record id → the key that opens its commitments, in hexadecimal
    keys/FINGERPRINT.pem          public keys that signed; compare the fingerprint with one you know
    checkpoints/000000000100.json checkpoints of the chain

Equal records give equal bytes. Whoever gets a bundle reads the text: send it as you would send the text itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import rfc8785
from securesystemslib.signer import SSlibKey

from explain.audit import checkpoints, database, envelope, sealing
from explain.audit.belief import Belief
from explain.audit.entry import NOTHING, RECORD, Entry
from explain.audit.keys import as_key, fingerprint, pem, read_public
from explain.audit.packing import LARGEST as LARGEST
from explain.audit.packing import numbered, pack, unpack
from explain.audit.records import FILED, Header
from explain.audit.store import Store
from explain.audit.told import contradictions, names_its_files, spoken_of, told
from explain.audit.verdict import Fault, Verdict, judged
from explain.errors import AuditError

_NAMES = re.compile(
    r"envelopes/\d{12}\.json|files/[0-9a-f-]{36}/[A-Za-z0-9][\w.-]{0,99}|openings\.json|keys/[0-9a-f]{64}\.pem|"
    r"checkpoints/\d{12}\.json",
    re.ASCII,
)

_OPENING = re.compile(r"[0-9a-f]{64}")


def write(store: Store, record: str | None = None) -> bytes:
    """A bundle of one record and what was said about it, or of the whole store.

    Raises:
        AuditError: there is no such record, or it is damaged.
    """
    chosen = (
        [store.read(record, checked=False), *store.events(record, checked=False)]
        if record is not None
        else list(_all(store))
    )
    parts: dict[str, bytes] = {}
    openings: dict[str, str] = {}
    for entry in chosen:
        header = entry.header
        parts[f"envelopes/{header.sequence:012d}.json"] = entry.bytes
        if entry.state.erased or not header.files:
            continue
        key = store.key(header.id)
        openings[header.id] = sealing.commitment_key(key).hex()
        for f in header.files:
            parts[f"files/{header.id}/{f.name}"] = store.opened(entry, f.name, key)
    parts["openings.json"] = rfc8785.dumps(openings)
    for path in (store.keys.folder / "trusted").glob("*.pem"):
        parts[f"keys/{path.name}"] = path.read_bytes()
    for path in (store.second / store.id).glob("*.json"):
        parts[f"checkpoints/{path.name}"] = path.read_bytes()
    return pack(parts)


def read(data: bytes) -> dict[str, bytes]:
    """The parts of a bundle by name; raises AuditError for anything that is no bundle."""
    parts = unpack(data)
    if not all(_NAMES.fullmatch(name) for name in parts):
        raise AuditError("The bundle holds a file that no bundle has.", code="not_evidence")
    return parts


def verify(data: bytes, trusted: Mapping[str, SSlibKey] | None = None) -> Verdict:
    """Verify a bundle by itself: V1, and V2 where it is of a whole store. In a bundle of one record, V2 can be broken
    but not hold: what is not in it cannot be missed.

    Args:
        data: the zip file's bytes.
        trusted: keys that are believed; None for the bundle's own, and then a note says so.

    Raises:
        AuditError: not a bundle at all.
    """
    parts, faults, notes = read(data), list[Fault](), list[str]()
    if trusted is None and any(n.startswith("keys/") for n in parts):
        notes.append("Verified with the keys in the bundle: compare their fingerprints with ones you know.")
    belief = Belief(trusted, _keys(parts))
    openings = _openings(parts)
    chain: dict[int, tuple[str, Header]] = {}
    keys, unsigned, erased, signers = set[str](), 0, 0, dict[int, set[str]]()
    envelopes = sorted(name for name in parts if name.startswith("envelopes/"))
    if not envelopes:
        raise AuditError("The bundle holds no record.", code="not_evidence")
    gone = _erased(parts, envelopes)
    used, digests = set[str](), dict[str, str]()
    for name in envelopes:
        try:
            wrapped = envelope.unwrap(parts[name], envelope.PAYLOAD)
            header, subject = envelope.statement(wrapped)
        except AuditError as error:
            faults.append(Fault("V1", name, str(error)))
            continue
        number = numbered(name)
        chain[number] = (envelope.digest(parts[name]), header)
        if header.sequence != number:
            faults.append(Fault("V2", name, f"its envelope says that it is number {header.sequence}"))
        unsigned += not wrapped.signatures
        try:
            signers[number] = belief.record(wrapped, header)
            keys |= signers[number]
        except AuditError as error:
            faults.append(Fault("V1", name, str(error)))
        if not names_its_files(header, subject, digests):
            faults.append(Fault("V1", name, "its subject does not name its files, or the record that it is about"))
        digests[header.id] = envelope.digest(parts[name])
        if header.id in gone:
            erased += header.kind in FILED
            continue
        faults += _content(header, parts, openings, used)
    for name in parts.keys() - used:
        if name.startswith("files/"):
            faults.append(Fault("V1", name, "the file belongs to no record"))
    whole = len({header.about or header.id for _, header in chain.values()}) > 1
    faults += _order(chain, whole=whole)
    if whole and sorted(chain) != list(range(1, len(chain) + 1)):
        faults.append(Fault("V2", "bundle", "records are missing between the first and the last"))
    events = any(header.about for _, header in chain.values())
    if not whole and events and not any(header.kind in FILED for _, header in chain.values()):
        faults.append(Fault("V2", "bundle", "the record that the others are about is missing"))
    wrong, newest = _checkpoints(parts, chain, belief, signers, whole=whole)
    faults += wrong
    if not whole:
        notes.append(
            "V2 not checked: the bundle is of one record. What else was said about it, after it was made or at the "
            "numbers that are not in it, does not show here."
        )
    return judged(
        faults,
        ("V1", "V2") if whole else ("V1",),
        notes,
        checked=len(envelopes),
        unsigned=unsigned,
        signed_by=tuple(sorted(keys)),
        erased=erased,
        uncovered=max(chain, default=0) - newest if whole else 0,
    )


def _keys(parts: Mapping[str, bytes]) -> dict[str, SSlibKey]:
    """The public keys in a bundle, each in its one form and under its own name."""
    found = {}
    for name in sorted(n for n in parts if n.startswith("keys/")):
        public = read_public(parts[name])
        if parts[name] != pem(public) or name != f"keys/{fingerprint(public)}.pem":
            raise AuditError(f"{name} is not that key, or not in its one form.", code="bad_key")
        found[fingerprint(public)] = as_key(public)
    return found


def _all(store: Store) -> list[Entry]:
    with database.reading(store.engine) as connection:
        numbers = [
            row[0] for row in connection.execute(database.entries.select().order_by(database.entries.c.sequence))
        ]
    return [store.read(number, checked=False) for number in numbers]


def _openings(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    try:
        found = json.loads(parts["openings.json"])
        if rfc8785.dumps(found) != parts["openings.json"] or not all(_OPENING.fullmatch(k) for k in found.values()):
            raise ValueError
        return {str(record): bytes.fromhex(key) for record, key in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AuditError("The bundle's openings.json is damaged.", code="not_evidence") from None


def _erased(parts: Mapping[str, bytes], names: list[str]) -> set[str]:
    """Ids whose content an erasure in the bundle took away, that of events about them included."""
    found: set[str] = set()
    about: dict[str, set[str]] = {}
    for name in names:
        try:
            header, _ = envelope.statement(envelope.unwrap(parts[name], envelope.PAYLOAD))
        except AuditError:
            continue
        if header.about is not None and header.kind == "erase":
            found |= {header.about, *about.get(header.about, set())}
        elif header.about is not None:
            about.setdefault(header.about, set()).add(header.id)
    return found


def _content(header: Header, parts: Mapping[str, bytes], openings: Mapping[str, bytes], used: set[str]) -> list[Fault]:
    faults = []
    for f in header.files:
        name = f"files/{header.id}/{f.name}"
        used.add(name)
        if name not in parts or header.id not in openings:
            faults.append(Fault("V1", name, "the file or its opening is missing"))
            continue
        plain = parts[name]
        if len(plain) != f.size or sealing.commitment(openings[header.id], plain) != f.commitment:
            faults.append(Fault("V1", name, "the file is not the one that was committed to"))
        elif f.name == RECORD:
            faults += [Fault("V1", name, what) for what in contradictions(told(plain), header)]
    return faults


def _order(chain: Mapping[int, tuple[str, Header]], *, whole: bool) -> list[Fault]:
    faults, there = [], set[str]()
    stores = {header.store for _, header in chain.values()}
    if len(stores) > 1:
        faults.append(Fault("V2", "bundle", "its records come from different stores"))
    for number, (_, header) in sorted(chain.items()):
        before = NOTHING if number == 1 else chain[number - 1][0] if number - 1 in chain else None
        if before is not None and header.previous != before:
            faults.append(Fault("V2", f"envelopes/{number:012d}.json", "it does not follow the record before it"))
        if whole and any(one not in there for one in spoken_of(header)):
            faults.append(Fault("V2", f"envelopes/{number:012d}.json", "it is about a record that is not there"))
        there.add(header.id)
    return faults


def _checkpoints(
    parts: Mapping[str, bytes],
    chain: Mapping[int, tuple[str, Header]],
    belief: Belief,
    signers: Mapping[int, set[str]],
    *,
    whole: bool,
) -> tuple[list[Fault], int]:
    """What is wrong with the checkpoints, and the size of the largest good one."""
    newest, faults, stores = 0, list[Fault](), {header.store for _, header in chain.values()}
    for name in sorted(n for n in parts if n.startswith("checkpoints/")):
        try:
            note, wrapped = checkpoints.read(parts[name])
            by = belief.signers(wrapped)
        except AuditError as error:
            faults.append(Fault("V2", name, str(error)))
            continue
        if note.size != numbered(name) or (stores and note.store not in stores):
            faults.append(Fault("V2", name, "it belongs somewhere else"))
        elif note.size in chain and chain[note.size][0] != note.head:
            faults.append(Fault("V2", name, f"record {note.size} is not the one that stood there"))
        elif not by <= signers.get(note.size, by):
            faults.append(Fault("V2", name, f"it is signed by a key that did not sign record {note.size}"))
        elif whole and note.size > max(chain):
            faults.append(Fault("V2", name, f"it counts {note.size} records: the end is cut off"))
        else:
            newest = max(newest, note.size)
    return faults, newest
