"""What tests and the benchmark do to stores of evidence: change single bytes, break chains, kill writers."""

from __future__ import annotations

import io
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explain.audit import bundle, envelope, verify
from explain.audit.entry import NOTHING
from explain.audit.store import Store
from explain.records import Explanation
from tests import verifier

WRITER = """
import sys
from pathlib import Path
import explain
from explain.audit.records import Purpose, Who
from explain.audit.store import Store
found, store = explain.read(Path(sys.argv[1])), Store(Path(sys.argv[2]))
store.id
print("ready", flush=True)
for i in range(int(sys.argv[3])):
    print(store.file(found, who=Who("writer"), purpose=Purpose(f"{sys.argv[4]}-{i}")).header.id, flush=True)
"""
"""Files one explanation many times and says each id once it is on the disk."""


def writer(explanation: Path, home: Path, count: int, name: str) -> subprocess.Popen[str]:
    """A process that files; it prints 'ready', then one id a line."""
    command = [sys.executable, "-c", WRITER, str(explanation), str(home), str(count), name]
    root = Path(__file__).resolve().parents[1]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root)


def copied(store: Store, to: Path) -> Store:
    """The same store in another folder, with its keys and checkpoints."""
    with sqlite3.connect(store.home / "evidence.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(store.home, to / "evidence")
    shutil.copytree(store.second, to / "checkpoints")
    return Store(to / "evidence", second=to / "checkpoints")


def sql(store: Store, statement: str, *values: object) -> None:
    """Run a statement in a store's database, past everything that guards it."""
    with sqlite3.connect(store.home / "evidence.db") as connection:
        connection.execute(statement, values)
    connection.close()


def faults(store: Store) -> set[tuple[str, str]]:
    """What verifying a store finds, as (level, sentence)."""
    return {(f.level, f.what) for f in verify.store(store).faults}


def both(data: bytes, what: str | None, level: str = "V1") -> None:
    """Do both verifiers find it in a bundle, and ours that alone, in these words?"""
    verdict, (code, _) = bundle.verify(data), verifier.verify(data)
    expected = {"V1": 3, "V2": 4}[level] if what is not None else 0
    assert (verdict.exit_code, code) == (expected, expected)
    assert [(f.level, what in f.what) for f in verdict.faults] == ([(level, True)] if what is not None else [])


def flip_file(path: Path, rng: random.Random) -> None:
    """Change one bit of one byte of a file."""
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def flip_column(store: Store, table: str, column: str, key: str, value: object, rng: random.Random) -> None:
    """Change one bit of what a column of the database holds."""
    with sqlite3.connect(store.home / "evidence.db") as connection:
        (old,) = connection.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (value,)).fetchone()
        if isinstance(old, int):
            new: object = old ^ 1
        else:
            data = bytearray(old if isinstance(old, bytes) else str(old).encode())
            at, bit = rng.randrange(len(data)), rng.randrange(7)
            data[at] ^= 1 << bit
            new = bytes(data) if isinstance(old, bytes) else data.decode("latin-1")
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (new, value))
    connection.close()


INDEX = ("kind", "recorded", "actor", "case_id", "model", "label", "retention", "due", "held", "erased", "digest")
"""Columns of the list, each of which every filed record in the tests has."""


def flip(store: Store, rng: random.Random) -> tuple[str, str]:
    """Change one bit somewhere in a store; returns what kind of place it was and what a fault must name."""
    kinds = ["record", "html", "picture", "pdf", "envelope", "index", "key", "checkpoint"]
    kind = rng.choice(kinds)
    names = {"record": "record.json", "html": "report.html", "picture": "page.png", "pdf": "page.pdf"}
    if kind == "checkpoint":
        path = rng.choice(sorted((store.second / store.id).glob("*.json")))
        flip_file(path, rng)
        return kind, path.name
    with sqlite3.connect(store.home / "evidence.db") as connection:
        rows = connection.execute(
            "SELECT sequence, id FROM entries WHERE kind = 'explanation' AND erased = 0"
        ).fetchall()
    number, record = rng.choice(rows)
    if kind in names:
        flip_file(store.place(record) / names[kind], rng)
        return kind, names[kind]
    if kind == "envelope":
        flip_column(store, "envelopes", "bytes", "sequence", number, rng)
    elif kind == "key":
        flip_column(store, "keys", "wrapped", "id", record, rng)
    else:
        column = rng.choice(INDEX)
        flip_column(store, "entries", column, "sequence", number, rng)
        return kind, column
    return kind, f"record {number}"


def small_pictures(_: object) -> dict[str, bytes]:
    """Files that stand for a report and its pictures."""
    return {"report.html": b"<html>report</html>" * 20, "page.png": bytes(range(256)), "page.pdf": b"%PDF-1.7 " * 30}


def filled(home: Path, explanation: Explanation, count: int) -> Store:
    """A store of so many records, with pictures and a checkpoint at its end."""
    from explain.audit.records import Purpose, Who

    store = Store(home / "evidence", second=home / "checkpoints")
    for i in range(count):
        who, purpose = Who("ada"), Purpose(f"case {i}", "triage")
        store.file(explanation, who=who, purpose=purpose, pictures=small_pictures)
    store.checkpoint()
    return store


def broken_bundle(data: bytes, rng: random.Random) -> bytes:
    """A bundle with one thing wrong: a byte of a part, a part gone, two exchanged, or one of its own."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        parts = {name: zipped.read(name) for name in zipped.namelist()}
    how = rng.choice(["flip", "flip", "flip", "drop", "swap", "double", "truncate"])
    inner = sorted(n for n in parts if n.startswith(("envelopes/", "files/")))
    if how == "flip":
        name = rng.choice([n for n in sorted(parts) if not n.startswith("keys/")])
        changed = bytearray(parts[name])
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        parts[name] = bytes(changed)
    elif how == "drop":
        del parts[rng.choice(inner)]
    elif how == "swap":
        one, two = rng.sample([n for n in inner if n.startswith("envelopes/")], 2)
        parts[one], parts[two] = parts[two], parts[one]
    elif how == "double":
        last = max(n for n in parts if n.startswith("envelopes/"))
        parts[f"envelopes/{int(last[10:22]) + 1:012d}.json"] = parts[last]
    else:
        name = rng.choice(inner)
        parts[name] = parts[name][: rng.randrange(len(parts[name]))]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in sorted(parts.items()):
            zipped.writestr(name, content)
    return packed.getvalue()


Edit = Callable[[dict[str, Any]], object]


def signed_anew(store: Store, data: bytes, edit: Edit, payload_type: str = envelope.PAYLOAD) -> bytes:
    """An envelope with another statement, which the store's own key signs; nobody signs in an unsigned store."""
    statement = json.loads(envelope.unwrap(data, envelope.PAYLOAD).payload)
    edit(statement)
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return envelope.wrap(payload, payload_type, store.signers)


def rewrite(store: Store, number: int, edit: Edit, payload_type: str = envelope.PAYLOAD) -> None:
    """Change one record as somebody does who has the key: it and all behind it are signed and chained anew, the list
    says what they say, and there is no checkpoint. Whatever is found then, one check alone has found.
    """
    shutil.rmtree(store.second / store.id, ignore_errors=True)
    with sqlite3.connect(store.home / "evidence.db") as connection:
        rows = connection.execute(
            "SELECT e.sequence, v.bytes, e.id FROM entries e JOIN envelopes v USING (sequence) ORDER BY sequence"
        ).fetchall()
        previous, digests = NOTHING, dict[str, str]()
        for sequence, data, record in rows:

            def chained(statement: dict[str, Any], previous: str = previous) -> None:
                statement["predicate"]["previous"] = previous
                for one in statement["subject"]:
                    one["digest"]["sha256"] = digests.get(one["name"], one["digest"]["sha256"])

            def edited(statement: dict[str, Any]) -> None:
                chained(statement)
                edit(statement)

            if sequence == number:
                data = signed_anew(store, data, edited, payload_type)
            elif sequence > number:
                data = signed_anew(store, data, chained)
            previous = digests[record] = envelope.digest(data)
            connection.execute("UPDATE envelopes SET bytes = ? WHERE sequence = ?", (data, sequence))
            connection.execute("UPDATE entries SET digest = ? WHERE sequence = ?", (previous, sequence))
    connection.close()


def unzipped(data: bytes) -> dict[str, bytes]:
    """The parts of a bundle by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    """A bundle of these parts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in sorted(parts.items()):
            opened.writestr(name, content)
    return packed.getvalue()
