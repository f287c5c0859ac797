"""A second verifier of evidence bundles, written from explain/audit/SPECIFICATION.md alone.

It needs the standard library and `cryptography`, shares no line with the product, and must come to the same exit code.
Usage: python tests/verifier.py BUNDLE.zip [FINGERPRINT ...]   (believed keys; none: those in the bundle)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import sys
import zipfile
import zlib
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

ALLOWED = r"(envelopes|checkpoints)/[0-9]{12}\.json|files/[0-9a-f-]{36}/%s|openings\.json|keys/[0-9a-f]{64}\.pem"
PEM, SPKI = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
RECORDS, CHECKPOINTS = "application/vnd.in-toto+json", "application/vnd.whyboard.checkpoint+json"
HOLDS_AN_EXPLANATION = ("explanation", "batch item", "correction")
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
SCHEMAS = ("whyboard-evidence/1", "whyboard-evidence/2", "whyboard-evidence/3", "whyboard-evidence/4")
ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class NotABundle(Exception):
    """Exit code 2."""


class Broken(Exception):
    """One fault."""


def need(condition: object, what: str) -> None:
    if not condition:
        raise Broken(what)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
    need(len({key for key, _ in found}) == len(found), "a key twice")
    return dict(found)


def no_number(text: str) -> object:
    raise Broken(f"{text} is no number")


def one_form(value: object) -> bytes:
    """RFC 8785 of what occurs here: objects with ASCII keys, lists, strings, whole numbers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unzip(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names, listed = archive.namelist(), archive.infolist()
            allowed = len(names) == len(set(names)) and all(re.fullmatch(ALLOWED % NAME, n) for n in names)
            if not allowed or sum(i.file_size for i in listed) > 2**29 or {i.compress_type for i in listed} - {0, 8}:
                raise NotABundle("names twice, or that no bundle has, or too large, or compressed in another way")
            at, dense = 0, any(name.startswith("envelopes/") for name in names)
            for info in sorted(listed, key=lambda i: i.header_offset):
                header, stream = info.FileHeader(zip64=False), zlib.decompressobj(-15)
                dense &= info.header_offset == at and data[at:].startswith(header) and not info.extra + info.comment
                at += len(header) + info.compress_size
                if info.compress_type and dense:
                    stream.decompress(data[at - info.compress_size : at], 2**29)
                    dense = stream.eof and not stream.unused_data
            if not dense or len(data) != at + sum(46 + len(name) for name in names) + 22:
                raise NotABundle("no envelope, or bytes that belong to no file")
            parts = {name: archive.read(name) for name in names}
    except Exception as error:
        raise NotABundle(str(error)) from None
    return parts


def fits(content: bytes, header: dict) -> bool:
    """Is it a record, the one of this header, and is what is filed beside the explanation what the header says?"""
    try:
        found = json.loads(content)
        assert isinstance(found["explanation"]["prediction"], dict)
        beside = found.get("beside")
        schema = None if beside is None else beside["answer"]["schema"]
        return found["id"] == header["id"] and schema == header["detail"].get("beside")
    except Exception:
        return False


def spoken_of(header: dict) -> list[str]:
    """The records that one speaks about."""
    found = [] if header["about"] is None else [header["about"]]
    found += [header["detail"]["corrects"]] if header["kind"] == "correction" else []
    return found + (header["detail"]["items"] if header["kind"] == "batch summary" else [])


class Verifier:
    def __init__(self, parts: dict[str, bytes], believed: set[str] | None) -> None:
        self.parts = parts
        self.v1: list[str] = []
        self.v2: list[str] = []
        self.keys: dict[str, Ed25519PublicKey] = {}
        self.current: str | None = None
        self.signers: dict[int, set[str]] = {}
        for name, data in parts.items():
            if name.startswith("keys/"):
                try:
                    key = load_pem_public_key(data)
                    assert isinstance(key, Ed25519PublicKey)
                    fingerprint = sha(key.public_bytes_raw())
                    assert name == f"keys/{fingerprint}.pem" and data == key.public_bytes(PEM, SPKI)
                except Exception:
                    raise NotABundle(f"{name}: no Ed25519 key, not that key, or not in its one form") from None
                if believed is None or fingerprint in believed:
                    self.keys[fingerprint] = key
        self.must_be_signed = believed is not None or bool(self.keys)
        try:
            raw = json.loads(parts["openings.json"])
            assert one_form(raw) == parts["openings.json"]
            assert all(re.fullmatch(r"[0-9a-f]{64}", key) for key in raw.values())
            self.openings = {record: bytes.fromhex(key) for record, key in raw.items()}
        except Exception:
            raise NotABundle("openings.json") from None

    def envelope(self, data: bytes, kind: str) -> tuple[dict, list[str]]:
        """The payload, and who signed it: nobody else than who is believed."""
        try:
            outer = json.loads(data)
            need(set(outer) == {"payload", "payloadType", "signatures"}, "fields of an envelope")
            payload = base64.b64decode(outer["payload"], validate=True)
            signatures = [(s["keyid"], base64.b64decode(s["sig"], validate=True)) for s in outer["signatures"]]
            again = [{"keyid": k, "sig": base64.b64encode(s).decode()} for k, s in signatures]
            again = {**outer, "payload": base64.b64encode(payload).decode(), "signatures": again}
            need(one_form(again) == data, "not its one form")
            need(outer["payloadType"] == kind, "payload type")
            need(len(signatures) <= 8, "too many signatures")
            found = json.loads(payload, object_pairs_hook=pairs, parse_constant=no_number)
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"no envelope: {error}") from None
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        signers = [keyid for keyid, _ in signatures]
        need(isinstance(found, dict), "payload is no object")
        need(signers or not self.must_be_signed, "not signed")
        need(len(set(signers)) == len(signers), "one key twice")
        for keyid, signature in signatures:
            need(keyid in self.keys, "a key that is not believed")
            try:
                self.keys[keyid].verify(signature, signed)
            except InvalidSignature:
                raise Broken("signature") from None
        return found, signers

    def run(self) -> int:
        records: dict[int, dict] = {}
        digests: dict[int, str] = {}
        for name in sorted(n for n in self.parts if n.startswith("envelopes/")):
            try:
                statement, signers = self.envelope(self.parts[name], RECORDS)
                header = self.header(statement)
                self.key(header, signers)
            except Broken as fault:
                self.v1.append(f"{name}: {fault}")
                continue
            number = int(name[10:22])
            if header["sequence"] != number:
                self.v2.append(f"{name}: number")
            by_id = {r["id"]: digests[n] for n, r in records.items()}
            if any(by_id.get(one, header["*subject"][one]) != header["*subject"][one] for one in spoken_of(header)):
                self.v1.append(f"{name}: speaks about another envelope")
            records[number], digests[number] = header, sha(self.parts[name])
            self.signers[number] = set(signers)
        self.files(records)
        self.order(records, digests)
        self.checkpoints(records, digests)
        return 3 if self.v1 else 4 if self.v2 else 0

    def key(self, header: dict, signers: list[str]) -> None:
        """Did the key sign that signs since the last change of key?"""
        if not signers:
            need(not header["signed"], "its signature is gone")
        elif header["kind"] != "key change":
            need(self.current is None or signers == [self.current], "a former key")
        else:
            old, new = header["detail"].get("from"), header["detail"].get("to")
            need(old != new and set(signers) == {old, new} and self.current in (None, old), "change of key")
            self.current = new

    def header(self, statement: dict) -> dict:
        try:
            header = statement["predicate"]
            need(statement["_type"] == "https://in-toto.io/Statement/v1", "_type")
            need(statement["predicateType"] == "urn:whyboard:evidence:1", "predicateType")
            need(header["schema"] in SCHEMAS, "schema")
            spoken = spoken_of(header)
            need(all(re.fullmatch(ID, one) for one in [header["id"], *spoken]) and len({*spoken}) == len(spoken), "ids")
            need(type(header["sequence"]) is int and type(header["signed"]) is bool, "types")
            need(all(re.fullmatch(NAME, f["name"]) for f in header["files"]), "names")
            need(len({f["name"] for f in header["files"]}) == len(header["files"]), "a file twice")
            kept = [header["purpose"]["retention"]]
            kept += [header["detail"]["retention"]] if header["kind"] == "retention" else []
            need(set(kept) <= {"short", "standard", "long", "permanent"}, "retention")
            recorded = datetime.fromisoformat(header["recorded"])
            need(recorded.tzinfo is not None and recorded.year < 9900, "recorded")
            need(len({s["name"] for s in statement["subject"]}) == len(statement["subject"]), "a subject twice")
            subject = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
            need(
                subject == {f["name"]: f["sha256"] for f in header["files"]} | {s: subject[s] for s in spoken},
                "subject",
            )
            header["*subject"] = subject
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"no statement: {error!r}") from None
        return header

    def files(self, records: dict[int, dict]) -> None:
        gone: set[str] = set()
        for number, of in ((n, r["about"]) for n, r in records.items() if r["kind"] == "erase"):
            gone |= {of} | {r["id"] for n, r in records.items() if n < number and r["about"] == of}
        expected: set[str] = set()
        for header in records.values():
            if header["id"] in gone:
                continue
            for f in header["files"]:
                name = f"files/{header['id']}/{f['name']}"
                expected.add(name)
                content, opening = self.parts.get(name), self.openings.get(header["id"])
                if content is None or opening is None:
                    self.v1.append(f"{name}: missing")
                elif [len(content), hmac.new(opening, content, "sha256").hexdigest()] != [f["size"], f["commitment"]]:
                    self.v1.append(f"{name}: size or commitment")
                elif f["name"] == "record.json" and not fits(content, header):
                    self.v1.append(f"{name}: not the record of the header, or another second answer")
        for name in self.parts:
            if name.startswith("files/") and name not in expected:
                self.v1.append(f"{name}: belongs to no record")

    def order(self, records: dict[int, dict], digests: dict[int, str]) -> None:
        if not records:
            return
        if len({r["store"] for r in records.values()}) > 1:
            self.v2.append("several stores")
        for number, header in records.items():
            before = "0" * 64 if number == 1 else digests.get(number - 1)
            if before is not None and header["previous"] != before:
                self.v2.append(f"number {number}: previous")
        self.whole = len({r["about"] or r["id"] for r in records.values()}) > 1
        for number, header in records.items():
            earlier = {r["id"] for n, r in records.items() if n < number}
            if self.whole and not earlier.issuperset(spoken_of(header)):
                self.v2.append(f"number {number}: about nothing")
        if self.whole and sorted(records) != list(range(1, len(records) + 1)):
            self.v2.append("numbers are missing")
        itself = any(r["kind"] in HOLDS_AN_EXPLANATION or not r["about"] for r in records.values())
        if not self.whole and not itself:
            self.v2.append("the record itself is missing")

    def checkpoints(self, records: dict[int, dict], digests: dict[int, str]) -> None:
        for name in self.parts:
            if not name.startswith("checkpoints/"):
                continue
            try:
                note, by = self.envelope(self.parts[name], CHECKPOINTS)
                need(set(note) == {"store", "size", "head", "time"}, "fields")
                need(note["size"] == int(name[12:24]), "size")
                need(not records or note["store"] in {r["store"] for r in records.values()}, "another store")
                need(digests.get(note["size"], note["head"]) == note["head"], "head")
                need({*by} <= self.signers.get(note["size"], {*by}), "a key that did not sign the record")
                need(not (records and self.whole and note["size"] > max(records)), "the end is cut off")
            except Broken as fault:
                self.v2.append(f"{name}: {fault}")


def verify(data: bytes, believed: set[str] | None = None) -> tuple[int, list[str]]:
    """Exit code and faults."""
    try:
        verifier = Verifier(unzip(data), believed)
    except NotABundle as error:
        return 2, [str(error)]
    return verifier.run(), verifier.v1 + verifier.v2


if __name__ == "__main__":
    code, faults = verify(Path(sys.argv[1]).read_bytes(), set(sys.argv[2:]) or None)
    print("\n".join(faults) or "holds")
    sys.exit(code)
