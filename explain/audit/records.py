"""What a record of evidence is made of: a header that is chained for ever, and content that can be erased.

The header names who, why, which model and which files; it holds nothing of the text, its tokens or its scores. The
content holds the explanation and everything else that was said about the text. It is stored encrypted, and the header
commits to it with a keyed hash: destroying the key erases the content and leaves the chain whole.

Every field that is None stands in `absent` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from explain.catalog import Request
from explain.heads import HeadsReport, HeadsRequest
from explain.record import Record
from explain.records import Explanation, ModelInfo
from explain.road import Road, RoadRequest

SCHEMA = "whyboard-evidence/4"
READ = ("whyboard-evidence/1", "whyboard-evidence/2", "whyboard-evidence/3", SCHEMA)
"""Schemas that are read: what a former one did not know is None. A field more or less is a new number."""
PREDICATE = "urn:whyboard:evidence:1"
WORDING = "2026-11"
"""Version of the sentences that say what an explanation does not show."""

Kind = Literal[
    "explanation", "batch item", "correction", "screenshot", "note", "review", "hold", "release", "retention", "erase",
    "batch summary", "key change",
]  # fmt: skip
FILED: tuple[Kind, ...] = ("explanation", "batch item", "correction")
"""Kinds that hold an explanation; the others are about one of these, or about the store."""


@dataclass(frozen=True, eq=False)
class Who(Record):
    """Who asked. `actor` is a name or pseudonym, `auth` how it is known, `client` the face that filed it."""

    actor: str | None = None
    auth: str = "not authenticated"
    client: str = "python"
    session_sha256: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, eq=False)
class Purpose(Record):
    """What the explanation was for. `retention` is a class of `explain.audit.retention`."""

    case_id: str | None = None
    intended_use: str | None = None
    dataset_id: str | None = None
    dataset_row: str | None = None
    retention: str = "standard"


@dataclass(frozen=True, eq=False)
class Decision(Record):
    """The decision that was taken in production, as far as it was supplied; `score` is a probability or a value."""

    label: str | None = None
    score: float | None = None
    threshold: float | None = None
    model_sha256: str | None = None
    system: str | None = None
    time: str | None = None


@dataclass(frozen=True, eq=False)
class Masking(Record):
    """How a text was de-identified before it was computed: `spans` are (text, start, end, kind) in the masked text."""

    tool: str
    version: str
    spans: tuple[tuple[int, int, int, str], ...]
    statement: str = "Reduced, not anonymous: what no recogniser knows is still there."


@dataclass(frozen=True, eq=False)
class Beside(Record):
    """What else was asked about the text of an explanation, and the answer: how every head looks at it (`HeadsReport`),
    or one token's road through the model. It does not say why the model decided, so it is filed with what does.
    """

    question: HeadsRequest | RoadRequest
    answer: HeadsReport | Road


@dataclass(frozen=True, eq=False)
class FileEntry(Record):
    """A file of a record: `size` in bytes and `commitment`, the HMAC-SHA256 under the record's own key, are of the
    content; `sha256` is of the encrypted bytes that are stored. `renderer` is what drew a picture or a page, with its
    version; None for what nobody drew.
    """

    name: str
    media_type: str
    size: int
    commitment: str
    sha256: str
    renderer: str | None = None


@dataclass(frozen=True, eq=False)
class Environment(Record):
    """With what it was computed, as the explanation says it; for an event, where it was filed. `filed` is the process
    that filed: platform, processor, code. `lock_sha256` and `sbom_sha256` are of files that name all that is installed.

    In the first schema `platform`, `processor` and `code_sha256` are of the process that filed.
    """

    versions: Mapping[str, str]
    device: str | None
    dtype: str | None
    kernel: str | None
    threads: int | None
    seed: int | None
    platform: str | None
    processor: str | None
    code_sha256: str | None
    commit: str | None = None
    dirty: bool | None = None
    lock_sha256: str | None = None
    sbom_sha256: str | None = None
    blas: str | None = None
    deterministic: Mapping[str, bool] | None = None
    cublas: str | None = None
    gpu: str | None = None
    evaluating: bool | None = None
    budget: int | None = None
    group: int | None = None
    filed: Mapping[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Header(Record):
    """The part of a record that is signed, chained and kept. Nothing in it is text that was explained.

    `sequence` counts from 1 in the `store`; `previous` is the SHA-256 of the previous envelope's bytes (64 zeros for
    the first). `about` is the id of the record that a note, review, erasure or picture belongs to. `recorded` is UTC;
    `began` and `seconds` are those of the computation. `model_files` are (name, SHA-256) of every file at hand.
    `manifest_sha256` is over them, `model_signature` what an OpenSSF signature of the model says. `libraries` names for
    each method whose code it is. `detail` holds what an event says, such as a verdict; for a filed record the schema of
    what stands `beside`, or the id of the record that it `corrects`; for the summary of a batch its items.
    """

    id: str
    kind: Kind
    store: str
    sequence: int
    previous: str
    recorded: str
    began: str | None
    seconds: float | None
    who: Who
    purpose: Purpose
    model: ModelInfo | None
    model_files: tuple[tuple[str, str], ...] | None
    methods: tuple[str, ...]
    environment: Environment
    files: tuple[FileEntry, ...]
    signed: bool
    about: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    clock: str = "this machine's; whether it is synchronised is not known"
    wording: str = WORDING
    manifest_sha256: str | None = None
    model_signature: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    schema: str = SCHEMA

    READ: ClassVar[tuple[str, ...]] = READ


@dataclass(frozen=True, eq=False)
class Content(Record):
    """The part of a record that is encrypted and can be erased: what was explained, and how it compares.

    `asked` is the request as a face made it. `matches` says in words how the decision in production compares.
    `characters` are the lengths of the texts, `unknown` the share of tokens that the model does not know, `flags`
    the codes of what is unusual about the text. `limits` say what the explanation does not show, and when its methods
    mislead. `beside` is another answer about the same text by the same model. `row_sha256` is of the data set's row, as
    whoever files gives it. `finite` is how many numbers of the result were looked at, and found finite.
    """

    id: str
    explanation: Explanation
    asked: Request | None
    decision: Decision | None
    matches: str
    note: str | None
    masking: Masking | None
    characters: tuple[int, ...]
    kept: tuple[int, ...]
    unknown: float | None
    flags: tuple[str, ...]
    why_target: str
    limits: tuple[str, ...]
    beside: Beside | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    row_sha256: str | None = None
    finite: int | None = None
    schema: str = SCHEMA

    READ: ClassVar[tuple[str, ...]] = READ
