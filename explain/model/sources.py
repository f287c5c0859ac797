"""Where a checkpoint's files come from: bundled, a local folder, or the Hub. Files in, nothing executed."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from explain import bundled
from explain.errors import ModelError
from explain.settings import settings

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "README.md"]
_FORBIDDEN = (
    "_attn_implementation_internal",
    "_attn_implementation",
    "attn_implementation",
    "kernel_config",
    "use_kernels",
)
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "tokenizer.model", "sentencepiece.bpe.model"),
)


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

    def weights_sha256(self) -> str:
        """One digest over all weight files, base and adapter."""
        roots = [self.folder] + ([self.adapter] if self.adapter else [])
        return digest_of([p for root in roots for p in sorted(root.glob("*.safetensors"))])

    def tokenizer_sha256(self) -> str:
        """One digest over the tokenizer's files."""
        return digest_of([self.folder / name for name in _TOKENIZER_FILES if (self.folder / name).is_file()])


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
    if bundled.is_bundled(name):
        adapter = bundled.verified(name)
        base = bundled.recipe(name)["base"]
        folder = bundled.base_folder(base["package"], base["sha256"])
        revision = digest_of([p for p in adapter.iterdir() if p.suffix in (".safetensors", ".json")])
        return Source(name, "bundled", revision, folder, adapter, bundled.card(name).licence)
    if (path := Path(name)).is_dir():
        files = [p for p in path.iterdir() if p.is_file()]
        return _checked(Source(path.resolve().name, "folder", digest_of(files), path, None, _licence(path)))
    if not _HUB_ID.fullmatch(name) or ".." in name:
        raise ModelError(
            f"There is no model '{name[:80]}'. Give a bundled name ({', '.join(bundled.names()) or 'none'}), a folder "
            "with config.json and safetensors, or a Hub id such as 'owner/model'.",
            code="model_not_found",
        )
    allowed = settings().allow_download if allow_download is None else allow_download
    path = _snapshot(name, revision, token, allowed)
    return _checked(Source(name, "hub", path.name, path, None, _licence(path)))


def config_of(folder: Path) -> dict[str, Any]:
    """config.json as a dictionary; raises ModelError if it is missing, broken or asks for foreign code."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        model_type = config["model_type"]
    except FileNotFoundError:
        raise ModelError(
            "The folder has no config.json, so it is not a transformers model.", code="no_config"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ModelError("config.json is not a transformers configuration.", code="bad_config") from None
    if not isinstance(model_type, str):
        raise ModelError("config.json names no model_type.", code="bad_config")
    found = [key for key in _FORBIDDEN if key in config]
    if found:
        raise ModelError(
            f"config.json sets '{found[0]}', which can make transformers fetch and run foreign code. Remove the key "
            "if you trust the model.",
            code="unsafe_config",
        )
    return config  # type: ignore[no-any-return]


def _checked(source: Source) -> Source:
    config = config_of(source.folder)
    if any(source.folder.glob("*.safetensors")):
        return source
    if "auto_map" in config and not any(source.folder.glob("*.bin")):
        raise ModelError("The model consists of code of its own, which Whyboard never runs.", code="remote_code")
    if any(p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5") for p in source.folder.iterdir()):
        raise ModelError(
            "The weights are in a format that can run code when opened (pickle). Convert them to safetensors: "
            "load them where you trust them and call save_pretrained().",
            code="unsafe_format",
        )
    raise ModelError("The folder has no *.safetensors file, so there are no weights.", code="no_weights")


def _snapshot(name: str, revision: str | None, token: str | None, allow_download: bool) -> Path:
    from huggingface_hub import HfApi, snapshot_download  # 0.3 s that bundled models need not pay
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    reason = "and downloads are switched off"
    if allow_download:
        try:
            commit = HfApi(token=token).model_info(name, revision=revision, timeout=settings().hub_timeout).sha
            return Path(snapshot_download(name, revision=commit, token=token, allow_patterns=_WANTED))
        except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError):
            at = f" at revision '{revision}'" if revision else ""
            raise ModelError(
                f"The Hub has no model '{name}'{at} that this token may read. Check the name, or pass token=.",
                code="model_not_found",
            ) from None
        except Exception as error:  # whatever HTTP library the Hub's client uses this year
            reason = f"and the Hub cannot be reached ({type(error).__name__})"
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED, local_files_only=True))
    except (OSError, ValueError):
        raise ModelError(
            f"The model '{name}' is not on this machine {reason}. Use a bundled model "
            f"({', '.join(bundled.names())}), a local folder, or connect and try again.",
            code="model_unavailable",
        ) from None


def _licence(folder: Path) -> str:
    """The licence that a model card's front matter states, or 'unknown'."""
    card = folder / "README.md"
    if card.is_file() and (parts := card.read_text("utf-8", errors="replace").split("---", 2))[0].strip() == "":
        try:
            front = yaml.safe_load(parts[1]) if len(parts) > 1 else None
        except yaml.YAMLError:
            front = None
        if isinstance(front, dict) and isinstance(front.get("license"), str):
            return str(front["license"])[:80]
    return "unknown"
