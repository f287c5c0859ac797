"""Where the bundled models and assets are, and proof that their bytes are the ones that were shipped."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from explain.catalog import ModelCard
from explain.errors import ModelError

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """`models`, `assets`, `app.py` or `.streamlit`: in the package when installed from a wheel, else beside it."""
    inside = _PACKAGE / "_bundled" / name
    return inside if inside.exists() else _PACKAGE.parent / name


def installing(extra: str) -> str:
    """The command that adds an extra ('login', 'profile', 'screenshot'): from the checkout, where this runs in one."""
    checkout = (_PACKAGE.parent / "pyproject.toml").is_file()
    return f"pip install -e '.[{extra}]'" if checkout else f"pip install 'whyboard[{extra}]'"


def names() -> list[str]:
    """Names of the bundled models, sorted."""
    root = shipped("models")
    return sorted(p.parent.name for p in root.glob("*/recipe.toml")) if root.is_dir() else []


def is_bundled(name: str) -> bool:
    """Whether `name` is a bundled model (rather than a Hub id or a folder)."""
    return name in names()


def recipe(name: str) -> dict[str, Any]:
    """The training recipe of a bundled model, which also names its base."""
    return tomllib.loads((shipped("models") / name / "recipe.toml").read_text("utf-8"))


def card(name: str) -> ModelCard:
    """What the model card of a bundled model says in its front matter."""
    text = (shipped("models") / name / "card.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---", 2)[1])
    return ModelCard(
        name=name,
        title=str(front.get("title", name)),
        task=str(front.get("pipeline_tag", "")),
        labels=tuple(str(label) for label in front.get("labels", ())),
        licence=str(front.get("license", "")),
        summary=str(front.get("summary", "")),
    )


def verified(name: str) -> Path:
    """The folder of a bundled model, after every file was compared with SHA256SUMS.

    Raises:
        ModelError: a file is missing or differs.
    """
    root = shipped("models") / name
    sums = root / "SHA256SUMS"
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    expected = {file: digest for digest, _, file in (line.partition("  ") for line in lines)}
    loaded = {p.name for p in root.iterdir() if p.suffix in (".safetensors", ".json")}
    for file in sorted(loaded | expected.keys()):
        _check(root / file, expected.get(file, "none"), f"models/{name}/{file}")
    return root


def base_folder(package: str, sums: dict[str, str]) -> Path:
    """The folder of base weights that a Python package carries, verified.

    Args:
        package: import name of the package, whose `model` folder holds the files.
        sums: file name → expected SHA-256.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"The bundled model needs the package '{package}'. Run `pip install {package.replace('_', '-')}`.",
            code="missing_package",
        )
    root = Path(spec.origin).parent / "model"
    for file, expected in sums.items():
        _check(root / file, expected, f"{package}/{file}")
    return root


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits; remembered while size and times stay the same."""
    stat = path.stat()
    return _sha256(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@cache
def _sha256(path: Path, *_version: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, expected: str, label: str) -> None:
    if not path.is_file():
        raise ModelError(f"Expected the file {label}, and it is missing. Install Whyboard again.", code="missing_file")
    if (got := sha256(path)) != expected:
        raise ModelError(
            f"The file {label} is not the one that was shipped (SHA-256 {got[:12]}…, expected {expected[:12]}…). "
            "Install it again.",
            code="checksum",
        )
