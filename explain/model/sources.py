"""Where a checkpoint's files come from: bundled, a local folder, or the Hub. Files in, nothing executed."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from explain import bundled
from explain.errors import ModelError
from explain.model import room
from explain.settings import settings

_HUB_ID = re.compile(r"(?=.{1,96}$)[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_VOCABULARY = ("tokenizer.json", "vocab.*", "*.model", "tekken.json")
_TOKENIZER = (*_VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
_WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "README.md")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_LICENCE = re.compile(r"^license:[ \t]*['\"]?([\w.+-]+)", re.MULTILINE)
_RUNS_CODE = re.compile(r"_?(attn|experts)_implementation(_internal)?|kernel_config|use_kernels|transformers_weights")
_HARMLESS = (None, False, "eager", "sdpa")
_STALLED = 6
"""How many times longer than for an answer to wait for a block of a running download; a block is 10 MB."""


@dataclass(frozen=True)
class Source:
    """`folder` holds weights and tokenizer; `adapter`, if any, holds a PEFT adapter with the head's config."""

    id: str
    kind: str
    revision: str
    folder: Path
    adapter: Path | None
    licence: str

    @property
    def config_folder(self) -> Path:
        """Where config.json of the model as a whole is."""
        return self.adapter or self.folder

    def weights(self) -> list[Path]:
        """All weight files, base and adapter."""
        roots = [self.folder] + ([self.adapter] if self.adapter else [])
        return [p for root in roots for p in _files(root, ("*.safetensors",))]

    def weights_sha256(self) -> str:
        """One digest over all weight files, base and adapter."""
        return digest_of(self.weights())

    def tokenizer_sha256(self) -> str:
        """One digest over the tokenizer's files."""
        return digest_of(_files(self.folder, _TOKENIZER))

    def card_sha256(self) -> str | None:
        """SHA-256 of the model card; None where there is none."""
        cards = [self.config_folder / name for name in ("README.md", "card.md")]
        return next((bundled.sha256(p) for p in cards if p.is_file()), None)

    def has_vocabulary(self) -> bool:
        """Whether any of the tokenizer's files can hold words."""
        return bool(_files(self.folder, _VOCABULARY))


def digest_of(files: list[Path]) -> str:
    """SHA-256 over the names and SHA-256 of files, sorted by name: a manifest's digest."""
    lines = sorted(f"{bundled.sha256(p)}  {p.name}\n" for p in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find(name: str, revision: str | None, token: str | None, allow_download: bool | None) -> Source:
    """Resolve a name to files on this machine.

    Args:
        name: a bundled model, a folder, or a Hub id.
        revision: Hub branch, tag or commit; None for the default branch.
        token: Hub access token; None for the one that is logged in.
        allow_download: may the Hub be asked; None for the setting.

    Raises:
        ModelError: not found, not reachable, or not safe to open.
    """
    name = os.fspath(name)  # people pass a Path
    if bundled.is_bundled(name):
        shipped = bundled.verified(name)
        base = bundled.recipe(name).get("base")
        revision = digest_of([p for p in shipped.iterdir() if p.suffix in (".safetensors", ".json")])
        folder = shipped if base is None else bundled.base_folder(base["package"], base["sha256"])
        return Source(name, "bundled", revision, folder, base and shipped, bundled.card(name).licence)
    if os.path.isdir(name):  # noqa: PTH112  # Path.is_dir() raises over names that no file system takes
        path = Path(name)
        _check(path)
        return Source(path.resolve().name, "folder", digest_of(_files(path)), path, None, _licence(path))
    if not _HUB_ID.fullmatch(name) or ".." in name or Path(name).is_file():
        raise ModelError(
            f"There is no model '{name[:80]}'. Give a bundled name ({', '.join(bundled.names()) or 'none'}), a folder "
            "with config.json and safetensors, or a Hub id such as 'owner/model'.",
            code="model_not_found",
        )
    path = _snapshot(name, revision, token, settings().allow_download if allow_download is None else allow_download)
    _check(path)
    return Source(name, "hub", path.name, path, None, _licence(path))


def config_of(folder: Path) -> dict[str, Any]:
    """config.json as a dictionary; raises ModelError if it is missing, broken or asks for foreign code."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        model_type = config["model_type"]
    except OSError:
        raise _no_config() from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _bad_config("is not a transformers configuration") from None
    if not isinstance(model_type, str):
        raise _bad_config("names no model_type")
    parts = [config]
    for part in parts:  # grows while it is read: nested configurations count too
        parts += [v for v in (part.values() if isinstance(part, dict) else part) if isinstance(v, (dict, list))]
        for key in part if isinstance(part, dict) else ():
            if _RUNS_CODE.fullmatch(key) and part[key] not in _HARMLESS:
                raise ModelError(
                    f"config.json sets '{key}', which can make transformers run code that is not its own. Remove the "
                    "key if you trust the model.",
                    code="unsafe_config",
                )
    return config  # type: ignore[no-any-return]


def _bad_config(what: str) -> ModelError:
    return ModelError(
        f"config.json {what}. Give a folder that save_pretrained() wrote, or a Hub id.", code="bad_config"
    )


def _no_config() -> ModelError:
    return ModelError("There is no config.json, so this is not a transformers model.", code="no_config")


def _files(folder: Path, patterns: Iterable[str] = ("*",)) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and any(fnmatch(p.name, pattern) for pattern in patterns))


def _check(folder: Path) -> None:
    """Refuse a folder whose configuration or weights transformers could not open safely."""
    config_of(folder)
    names = [p.name for p in _files(folder)]
    _check_format(names)
    if _WEIGHTS in names:  # transformers then never looks at an index
        room.require([folder / _WEIGHTS])
        return
    try:
        shards = set(json.loads((folder / _INDEX).read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"{_INDEX} is not an index of weight files. Fetch it again.", code="corrupt_model") from None
    for shard in sorted(map(str, shards)):
        if not shard.endswith(".safetensors"):
            raise ModelError(f"{_INDEX} names '{shard[:80]}'; only safetensors are opened.", code="unsafe_format")
        if shard not in names:
            raise ModelError(f"The weights file '{shard[:80]}' is missing. Fetch it again.", code="no_weights")
    room.require([folder / str(shard) for shard in shards])


def _check_format(names: list[str]) -> None:
    """Refuse files among which there are no weights as safetensors."""
    if _WEIGHTS in names or _INDEX in names:
        return
    if any(fnmatch(name, pattern) for name in names for pattern in _PICKLES):
        raise ModelError(
            "The weights are in a format that can run code when opened (pickle). Convert them to safetensors: "
            "load them where you trust them and call save_pretrained().",
            code="unsafe_format",
        )
    raise ModelError(
        f"There is no {_WEIGHTS}, so there are no weights. Give a folder that save_pretrained() wrote.",
        code="no_weights",
    )


def _snapshot(name: str, revision: str | None, token: str | None, allow_download: bool) -> Path:
    from huggingface_hub import try_to_load_from_cache  # 0.3 s that bundled models need not pay
    from huggingface_hub.errors import HFValidationError

    reason, refused = "and downloads are switched off", False
    try:
        if allow_download:
            return _while_alive(lambda alive: _fetch(name, revision, token, alive))
    except ModelError:
        raise
    except TimeoutError:
        reason = f"and nothing came from the Hub for {settings().hub_timeout:g} s (EXPLAIN_HUB_TIMEOUT)"
    except Exception as error:  # whatever HTTP library the Hub's client uses this year
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"and the Hub cannot be reached ({status or type(error).__name__})"
        refused = status in (401, 403, 404)
    try:
        cached = None if refused else try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        refused = True
    if refused:
        at = f" at revision '{revision[:80]}'" if revision else ""
        raise ModelError(
            f"The Hub has no model '{name[:80]}'{at} that this token may read. Check the name, or pass token=.",
            code="model_not_found",
        )
    if isinstance(cached, str):
        return Path(cached).parent
    raise ModelError(
        f"The model '{name[:80]}' is not on this machine {reason}. Use a bundled model "
        f"({', '.join(bundled.names())}), a local folder, or connect and try again.",
        code="model_unavailable",
    )


def _fetch(name: str, revision: str | None, token: str | None, alive: Callable[[float], None]) -> Path:
    """Bring a model's files into the Hub's cache, one by one; `alive(seconds)` promises the next sign of life.

    snapshot_download() would list the files without any time limit, and its threads outlive the program.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.utils import tqdm

    patience = settings().hub_timeout

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            alive(_STALLED * patience)
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            alive(_STALLED * patience)
            return super().update(n)  # type: ignore[no-any-return]

    def download(file: str, at: str | None) -> Path:
        alive(patience)
        return Path(hf_hub_download(name, file, revision=at, token=token, etag_timeout=patience, tqdm_class=Bar))

    info = HfApi(token=token).model_info(name, revision=revision, timeout=2 * patience)
    names = [file.rfilename for file in info.siblings or ()]
    if "config.json" not in names:
        raise _no_config()
    _check_format(names)
    folder = download("config.json", info.sha).parent
    config_of(folder)
    for file in names:
        if "/" not in file and any(fnmatch(file, pattern) for pattern in _WANTED):
            download(file, info.sha)
    download("config.json", revision)  # notes the commit; done last, so that without a net only whole models are found
    return folder


def _while_alive(work: Callable[[Callable[[float], None]], Path]) -> Path:
    """Do `work(alive)` in a thread, and abandon it with TimeoutError when it is silent for longer than it promised."""
    said: SimpleQueue[float | Path | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            said.put(work(said.put))
        except BaseException as error:
            said.put(error)

    Thread(target=run, daemon=True).start()
    word: float | Path | BaseException = settings().hub_timeout
    while isinstance(word, float):
        try:
            word = said.get(timeout=word)
        except Empty:
            raise TimeoutError from None
    if isinstance(word, BaseException):
        raise word
    return word


def _licence(folder: Path) -> str:
    """The licence that a model card's front matter states, or 'unknown'."""
    card = folder / "README.md"
    before, *front = card.read_text("utf-8", errors="replace").split("---", 2) if card.is_file() else ("",)
    found = _LICENCE.search(front[0]) if front and not before.strip() else None  # YAML takes seconds over long cards
    return found[1][:80] if found else "unknown"
