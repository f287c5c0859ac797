"""Where an answer comes from: which network, on which machine, with what. Part of `explain.records`, plain data.

Whatever has a default is None in what former versions wrote, which did not record it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from explain.record import Record

WRITER, WRITTEN = "text2text-generation", "written-token"
"""The task of models whose decoder writes about a text that an encoder has read, and the kind of head that says what it
writes next."""


@dataclass(frozen=True, eq=False)
class ModelInfo(Record):
    """Which network answered, down to the bytes of its weights.

    `revision` is the Hub commit, or the SHA-256 over a local folder's files. `problem` is the kind of head:
    single-label, binary, multi-label, regression, next-token, masked-token, written-token, word-tags or answer-span, or
    continuation where a whole one is asked about; `labels` are () where the outcomes are a vocabulary or parts of the
    text. `kernel` is the attention implementation.
    `d_model` is the width of the embeddings that attributions are taken with respect to. `card_sha256` is of the model
    card, None where there is none. `loading` counts the weights that were missing in the checkpoint, came from an
    adapter, or fitted nowhere (missing, adapted, unexpected). `normalizer` says how the tokenizer changes a text before
    it cuts it, None where it does not.
    """

    id: str
    revision: str
    task: str
    problem: str
    labels: tuple[str, ...]
    architecture: str
    n_layers: int
    n_heads: int
    d_model: int
    max_tokens: int
    dtype: str
    device: str
    kernel: str
    weights_sha256: str
    tokenizer_sha256: str
    licence: str
    source: str
    card_sha256: str | None = None
    loading: Mapping[str, int] | None = None
    normalizer: str | None = None

    @property
    def writes(self) -> bool:
        """Whether an encoder reads the text, and a decoder what is written about it."""
        return self.task == WRITER


@dataclass(frozen=True, eq=False)
class Machine(Record):
    """The process that computed: on what, and with which code.

    `code_sha256` is over the names and contents of this package's source files; `commit` and `dirty` (differs from it)
    are of the clone that they lie in, None for an installed package. `blas` names the libraries that multiply.
    `deterministic` maps torch's flags to whether they are set. `cublas` is CUBLAS_WORKSPACE_CONFIG. `gpu` is the name
    of the graphics card that computed, None for a processor.
    """

    platform: str
    processor: str
    code_sha256: str
    commit: str | None = None
    dirty: bool | None = None
    blas: str | None = None
    deterministic: Mapping[str, bool] | None = None
    cublas: str | None = None
    gpu: str | None = None


@dataclass(frozen=True, eq=False)
class Provenance(Record):
    """With what it was computed. `created` is UTC in ISO 8601, `seconds` by a monotonic clock.

    `dtype` names the methods that ran in another precision than the model is held in, if any did.
    `evaluating`: the model was set to infer, not to train. `budget` and `group` are the request's budget, and how many
    texts were computed together: both decide the last digits. `libraries` says for each method whose code it is,
    `cautions` when it misleads.
    """

    versions: Mapping[str, str]
    device: str
    dtype: str
    kernel: str
    threads: int
    seed: int
    created: str
    seconds: float
    machine: Machine | None = None
    evaluating: bool | None = None
    budget: int | None = None
    group: int | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    cautions: Mapping[str, str] = field(default_factory=dict)
