"""What this process is: machine, code, libraries. torch is asked if it is loaded, and never loaded for it."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from explain.origin import Machine

_PACKAGE = Path(__file__).resolve().parent


def here(device: str = "cpu") -> Machine:
    """This process, computing on a device."""
    torch: Any = sys.modules.get("torch")
    commit, dirty = _commit()
    return Machine(
        platform=platform.platform(),
        processor=processor(),
        code_sha256=code_sha256(),
        commit=commit,
        dirty=dirty,
        blas=None if torch is None else _blas(),
        deterministic=None if torch is None else _deterministic(torch),
        cublas=os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        gpu=torch.cuda.get_device_name(device) if torch is not None and device.startswith("cuda") else None,
    )


@cache
def code_sha256() -> str:
    """SHA-256 over the names and contents of this package's source files."""
    lines = [
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(_PACKAGE).as_posix()}\n"
        for p in sorted(_PACKAGE.rglob("*.py"))
        if "_bundled" not in p.parts
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        name = ""
    return f"{name or platform.processor() or platform.machine()} ({os.cpu_count()} threads)"


@cache
def versions() -> Mapping[str, str]:
    """Versions of what computes."""
    packages = ("whyboard", "torch", "transformers", "tokenizers", "numpy", "captum")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache
def library(module: str, uses_captum: bool = False) -> str:
    """Whose code a module is, with its version: ours, or a distribution's that registered it."""
    top = module.partition(".")[0]
    name = "whyboard" if top == "explain" else next(iter(packages_distributions().get(top, [top])))
    return f"{name} {_version(name)}" + (f", captum {_version('captum')}" if uses_captum else "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@cache
def _commit(root: Path = _PACKAGE.parent) -> tuple[str | None, bool | None]:
    """Commit of the clone that the package lies in, and whether files differ from it; None where it is no clone."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None, None
    said = []
    for command in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            done = subprocess.run([git, *command], cwd=root, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None, None
        said.append(done.stdout.strip())
    return said[0], bool(said[1])


def threads() -> int:
    """Threads that one operation of torch may use."""
    import torch

    return torch.get_num_threads()


@cache
def _blas() -> str:
    import torch

    name = re.search(r"BLAS_INFO=([^\s,]+)", torch.__config__.show())
    found: Any = np.show_config("dicts")
    own = found.get("Build Dependencies", {}).get("blas", {})
    theirs = name[1] if name else "not known"
    return f"torch: {theirs}; numpy: {own.get('name', 'not known')} {own.get('version', '')}".strip()


def _deterministic(torch: Any) -> dict[str, bool]:
    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }
