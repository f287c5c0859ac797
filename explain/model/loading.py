"""From files to a Runner: right head, trained head, right tokenizer, frozen, and nothing executed from the files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoTokenizer

from explain.errors import ExplainError, InputError, ModelError
from explain.model import positions
from explain.model.quiet import quiet
from explain.model.runner import Runner
from explain.model.sources import Source, config_of, find
from explain.records import ModelInfo
from explain.settings import settings
from explain.tasks import Task, tasks

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
_LEADING_FOLDERS = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?(?:[\\/][^\s\\/'\"]+)+[\\/]")


def load_runner(
    name: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    task: str = "auto",
    token: str | None = None,
    allow_download: bool | None = None,
    fast: bool | None = None,
    runner: type[Runner] = Runner,
) -> Runner:
    """Load a model for explaining.

    Args:
        name: a bundled model, a Hub id, or a local folder.
        revision: Hub branch, tag or commit.
        device: 'auto' (CUDA, then MPS, then CPU) or a torch device.
        dtype: 'auto' (float32, which attribution needs) or float64, bfloat16, float16.
        task: 'auto', a task's name, or the variant of a head ('binary', 'regression', …).
        token: Hub access token.
        allow_download: may the Hub be asked; None for the setting.
        fast: may methods whose scores are sums of values run in bfloat16, where `explain.calibration` finds it as good
            here, and faster; None for the setting.
        runner: the class to make.

    Raises:
        ModelError: says what is wrong with the model and what to do.
        InputError: an option has a value that does not exist.
    """
    source = find(name, revision, token, allow_download)
    before = source.weights_sha256()
    config_dict = config_of(source.config_folder)
    chosen = _task_for(config_dict, task)
    place, precision = _device(device), _dtype(dtype)
    with quiet():
        config = _config(source)
        tokenizer = _tokenizer(source)
        module, loading = _module(source, config, chosen, precision)
    _match(module, tokenizer)
    module.to(place)
    _own(module)
    if source.weights_sha256() != before:
        raise ModelError("The weights changed while they were loaded. Load the model again.", code="changed")
    if hasattr(module.config, "use_cache"):
        module.config.use_cache = False  # every pass reads a whole text
    problem = chosen.problem(module.config, task)
    info = ModelInfo(
        id=source.id,
        revision=source.revision,
        task=chosen.name,
        problem=problem,
        labels=chosen.labels(module.config, problem),
        architecture=type(module).__name__,
        n_layers=_number(module.config, "num_hidden_layers", "n_layer", "num_layers"),
        n_heads=_number(module.config, "num_attention_heads", "n_head", "num_heads"),
        d_model=_width(module),
        max_tokens=positions.read(module, tokenizer),
        dtype=str(precision).removeprefix("torch."),
        device=str(place),
        kernel=str(getattr(module.config, "_attn_implementation", None) or "eager"),
        weights_sha256=before,
        tokenizer_sha256=source.tokenizer_sha256(),
        licence=source.licence,
        source=source.kind,
        card_sha256=source.card_sha256(),
        loading=loading,
        normalizer=_normalizer(tokenizer),
    )
    made = runner(module, tokenizer, chosen, info)
    made.fast = settings().fast if fast is None else fast
    return made


def _task_for(config: dict[str, Any], wish: str) -> Task:
    known = tasks()
    variants = {p: t for t in known.values() for p in t.problems}
    if wish != "auto" and wish not in known and wish not in variants:
        raise InputError(
            f"There is no task '{wish[:40]}'. There are: {', '.join([*known, *variants])}.", code="bad_task"
        )
    kind, listed = config["model_type"], config.get("architectures")
    named = [str(name) for name in listed] if isinstance(listed, list) else []
    fitting = [
        task
        for task in known.values()
        if (classes := task.architectures()).get(kind)
        and (wish in (task.name, *task.problems) or (wish == "auto" and task.by_itself and classes[kind] in named))
    ]
    if len(fitting) > 1:
        raise InputError(
            f"This checkpoint could be read in {len(fitting)} ways: {', '.join(t.name for t in fitting)}. Say which "
            "with task=… (--task on the command line).",
            code="ambiguous_task",
        )
    if fitting:
        return fitting[0]
    if any(kind in task.architectures() for task in known.values()):
        raise ModelError(
            f"This checkpoint is a {(', '.join(named) or kind)[:80]}, which has no trained head "
            f"for: {', '.join(known)}. Choose a checkpoint fine-tuned for one of these.",
            code="no_trained_head",
        )
    if "auto_map" in config:
        raise ModelError(
            f"The architecture '{kind[:80]}' is code that comes with the model, which Whyboard never runs. Choose a "
            "model that transformers knows.",
            code="remote_code",
        )
    raise ModelError(
        f"The architecture '{kind[:80]}' is not supported. Supported are the "
        f"{sum(len(t.architectures()) for t in known.values() if t.by_itself)} that transformers offers for: "
        f"{', '.join(known)}.",
        code="unsupported_architecture",
    )


@contextmanager
def _in_our_words(sentence: str, code: str) -> Iterator[None]:
    """Turn whatever a dozen libraries raise over bad files into one sentence, without the folders of this machine."""
    try:
        yield
    except (ExplainError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        said = _LEADING_FOLDERS.sub("", " ".join(str(error).split()))[:200].rstrip(". ")
        if isinstance(error, SafetensorError):
            raise ModelError(f"The weights file is damaged: {said}. Fetch it again.", code="corrupt_model") from None
        raise ModelError(f"{sentence}: {said} ({type(error).__name__}).", code=code) from None


def _config(source: Source) -> Any:
    with _in_our_words("transformers cannot use config.json", "bad_config"):
        return AutoConfig.from_pretrained(source.config_folder, **_LOCAL)


def _module(source: Source, config: Any, task: Task, dtype: torch.dtype) -> tuple[Any, dict[str, int]]:
    """The network, and how many weights were missing in its files, came from an adapter, or fitted nowhere."""
    with _in_our_words("The model cannot be loaded", "load_failed"):
        try:
            module, report = task.auto_class.from_pretrained(
                source.folder, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True, **_LOCAL
            )
        except RuntimeError:
            if misfits := _misfits(source, config, task):
                raise ModelError(
                    f"Weights do not fit config.json: {'; '.join(misfits[:3])}.", code="shape_mismatch"
                ) from None
            raise
        missing, adapted = sorted(report["missing_keys"]), list[str]()
        if source.adapter is not None:
            module, missing, adapted = _with_adapter(module, source, missing), [], missing
    if missing:
        raise ModelError(
            f"The checkpoint holds no weights for: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}. Without "
            "them the head would be random and its decisions noise. Choose a fine-tuned checkpoint.",
            code="missing_keys",
        )
    return module, {"missing": 0, "adapted": len(adapted), "unexpected": len(report["unexpected_keys"])}


def _misfits(source: Source, config: Any, task: Task) -> list[str]:
    """The weights whose shape in the files is not the one that config.json asks for, each with both shapes."""
    with torch.device("meta"):  # shapes without memory: config.json may ask for terabytes
        expected = task.auto_class.from_config(config, trust_remote_code=False).state_dict()
    found = []
    for file in source.weights():
        with safe_open(file, framework="pt") as weights:
            shapes = {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
        found += [
            f"{name} is {shape}, not {list(expected[name].shape)}"
            for name, shape in shapes.items()
            if name in expected and shape != list(expected[name].shape)
        ]
    return found


def _with_adapter(module: Any, source: Source, missing: list[str]) -> Any:
    from peft import PeftModel, load_peft_weights  # only adapters need it

    supplied = " ".join(load_peft_weights(str(source.adapter), device="cpu"))
    absent = [key for key in missing if key not in supplied]
    if absent:
        raise ModelError(f"The adapter holds no weights for: {', '.join(absent[:5])}.", code="missing_keys")
    return PeftModel.from_pretrained(module, str(source.adapter)).merge_and_unload()


def _tokenizer(source: Source) -> Any:
    with _in_our_words("The tokenizer cannot be loaded", "no_tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(source.folder, use_fast=True, **_LOCAL)
        tokenizer("one two")  # some damage shows only in use
    if not tokenizer.is_fast:
        raise ModelError(
            "The tokenizer is a slow one and cannot say which characters a token stands for. Convert it to a fast "
            "tokenizer (tokenizer.json).",
            code="slow_tokenizer",
        )
    if not source.has_vocabulary():  # transformers makes a tokenizer without words of it
        raise ModelError(
            "The folder has no vocabulary: expected tokenizer.json, vocab.txt or a SentencePiece model.",
            code="no_tokenizer",
        )
    return tokenizer


def _normalizer(tokenizer: Any) -> str | None:
    """How the tokenizer changes a text before it cuts it, as its own file says it; None where it does not."""
    found = tokenizer.backend_tokenizer.normalizer
    return None if found is None else f"{found}"[:1000]


def _own(module: torch.nn.Module) -> None:
    """Copy what still lies in the file: whoever overwrote it later would change, or kill, a loaded model."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):  # tied tensors are one object, and come once
            tensor.data = tensor.data.clone()


def _match(module: Any, tokenizer: Any) -> None:
    rows = getattr(_table(module), "num_embeddings", None)
    highest = max(tokenizer.get_vocab().values(), default=0)
    if rows is not None and highest >= rows:
        raise ModelError(
            f"The tokenizer belongs to another model: it has ids up to {highest:,}, the model knows {rows:,}. "
            "Use the tokenizer that was saved with these weights.",
            code="tokenizer_mismatch",
        )


def _table(module: Any) -> Any:
    """The input embeddings, or None where a model has no such table (CANINE hashes characters)."""
    try:
        return module.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None


def _device(wish: str) -> torch.device:
    if wish == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wish)
        torch.zeros(1, device=device).item()  # the device 'meta' exists and computes nothing
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise ModelError(
            f"The device '{str(wish)[:40]}' is not available here. Use 'auto' or 'cpu'.", code="no_device"
        ) from None
    return device


def _dtype(wish: str) -> torch.dtype:
    if wish == "auto":
        return torch.float32
    if str(wish) not in DTYPES:
        raise InputError(f"There is no dtype '{str(wish)[:40]}'. Use auto, {', '.join(DTYPES)}.", code="bad_dtype")
    return DTYPES[str(wish)]


def _number(config: Any, *names: str) -> int:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return next((int(getattr(text, n)) for n in names if isinstance(getattr(text, n, None), int)), 0)


def _width(module: Any) -> int:
    weight = getattr(_table(module), "weight", None)
    return int(weight.shape[-1]) if weight is not None else _number(module.config, "hidden_size", "d_model")
