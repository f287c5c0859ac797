"""What this machine has, what it lacks, and what to do about it: the answers to the questions that come first."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import urllib.request
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from explain import bundled
from explain.errors import ExplainError
from explain.keys import Keys
from explain.login import configured
from explain.model import room
from explain.settings import settings

ASKED = ("token_endpoint", "jwks_uri")
"""What a provider's metadata names that this machine itself asks; a browser is sent to the others."""
LITTLE = 2 * 2**30
"""Bytes of memory below which a model and its worker hardly fit."""


class Finding(NamedTuple):
    """One thing that was looked at. `todo` is '' where there is nothing to do."""

    about: str
    state: Literal["ok", "note", "wrong"]
    found: str
    todo: str = ""


def findings() -> list[Finding]:
    """Everything, in the order in which to mend it. Imports torch."""
    looks: list[Callable[[], Finding]] = [python, packages, device, fast, memory, models, home, keys, login, hub]
    return [look() for look in looks]


def python() -> Finding:
    """The interpreter."""
    good = sys.version_info >= (3, 11)
    return Finding(
        "Python", "ok" if good else "wrong", platform.python_version(), "" if good else "Install Python 3.11 or newer."
    )


def packages() -> Finding:
    """Whether every dependency is there in a version that was asked for."""
    try:
        wanted = [Requirement(r) for r in requires("whyboard") or ()]
    except PackageNotFoundError:
        return Finding("packages", "wrong", "Whyboard itself is not installed", "Run `pip install -e .` in its folder.")
    faults = []
    for need in wanted:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            if not need.specifier.contains(have := version(need.name), prereleases=True):
                faults.append(f"{need.name} {have} (needs {need.specifier})")
        except PackageNotFoundError:
            faults.append(f"{need.name} (missing)")
    if faults:
        return Finding("packages", "wrong", ", ".join(faults), "Run `pip install --upgrade whyboard`.")
    shown = ", ".join(f"{name} {version(name)}" for name in ("whyboard", "torch", "transformers", "streamlit"))
    return Finding("packages", "ok", shown)


def device() -> Finding:
    """Where models compute."""
    try:
        import torch
    except ImportError as error:
        return Finding("device", "wrong", f"torch cannot be imported ({error})", "Run `pip install torch`.")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"CUDA, {torch.cuda.get_device_name(0)}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "MPS, this Mac's own")
    threads = torch.get_num_threads()
    todo = ""
    if shutil.which("nvidia-smi"):
        todo = "There is an NVIDIA driver: install the CUDA build of torch, see pytorch.org."
    return Finding("device", "note" if todo else "ok", f"CPU, {threads} of {os.cpu_count()} threads", todo)


def fast() -> Finding:
    """Whether some methods may run in bfloat16; a model, and not this machine alone, decides whether they do."""
    said = "on: occlusion, LIME and Shapley values in bfloat16, where the model's calibration allows it"
    return Finding("EXPLAIN_FAST", "ok", said if settings().fast else "off")


def memory() -> Finding:
    """How much memory is free."""
    if (free := room.free()) is None:
        return Finding("memory", "note", "unknown on this system")
    said = f"{free / 2**30:.1f} GiB free"
    if free < LITTLE:
        return Finding("memory", "note", said, "Close other programs, or lower EXPLAIN_TOKEN_BUDGET.")
    return Finding("memory", "ok", said)


def models() -> Finding:
    """Whether the bundled models are those that were shipped."""
    try:
        for name in bundled.names():
            bundled.verified(name)
            if base := bundled.recipe(name).get("base"):  # one that was trained from nothing stands on no other
                bundled.base_folder(base["package"], base["sha256"])
    except ExplainError as error:
        return Finding("bundled models", "wrong", str(error), "Install Whyboard again.")
    return Finding("bundled models", "ok", ", ".join(bundled.names()) or "none")


def home() -> Finding:
    """Whether state can be kept."""
    place = settings().home
    above = next(p for p in (place, *place.parents) if p.exists())
    if os.access(above, os.W_OK):
        return Finding("EXPLAIN_HOME", "ok", str(place))
    return Finding("EXPLAIN_HOME", "wrong", f"{place} cannot be written", "Set EXPLAIN_HOME to a folder that can.")


def keys() -> Finding:
    """Who may ask the service."""
    path = settings().keys
    if path is None and settings().login_metadata_url:
        path = settings().home / "keys"
    if path is None:
        return Finding("API keys", "ok", "none, so that only this machine may ask")
    try:
        known = Keys(path).holders()
    except ExplainError as error:
        return Finding("API keys", "wrong", str(error), "Make the file anew with `explain keys add NAME`.")
    if not known:
        if settings().keys is None:
            return Finding("API keys", "note", "none: where people sign in to pages, REST answers to keys only")
        return Finding("API keys", "wrong", "EXPLAIN_KEYS names a file without keys", "Run `explain keys add NAME`.")
    if path.stat().st_mode & 0o077:
        return Finding("API keys", "note", f"{len(known)}, in a file that others may read", f"Run `chmod 600 {path}`.")
    return Finding("API keys", "ok", str(len(known)))


def login() -> Finding:
    """Who may see the pages, and whether the provider that says so can be reached: its metadata is asked for."""
    about, wrong = "login", "Check EXPLAIN_LOGIN_METADATA_URL, and that this machine may reach it."
    try:
        found = configured(settings())
    except ExplainError as error:
        return Finding(about, "wrong", str(error), "Run `explain settings` to see what is set.")
    if found is None:
        return Finding(about, "ok", "none, so that pages answer to whoever uses this machine, and to nobody else")
    if find_spec("authlib") is None or find_spec("httpx") is None:
        return Finding(about, "wrong", "configured, but Authlib is missing", f"Run `{bundled.installing('login')}`.")
    try:
        with urllib.request.urlopen(settings().login_metadata_url, timeout=settings().hub_timeout) as answer:
            metadata = json.loads(answer.read(1_000_000))
            hosts = {urlsplit(str(metadata[name])).hostname for name in ASKED} - {None}
            issuer = str(metadata["issuer"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Finding(about, "wrong", f"{found.provider} did not answer as a provider ({type(error).__name__})", wrong)
    return Finding(about, "ok", f"{issuer} says who comes; this machine asks {', '.join(sorted(map(str, hosts)))}")


def hub() -> Finding:
    """Whether models may be fetched. Nothing is fetched to find out."""
    if not settings().allow_download or os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return Finding("Hub", "ok", "not asked: bundled models, folders and what was fetched before")
    return Finding("Hub", "ok", "asked for models that are named by their Hub id (EXPLAIN_ALLOW_DOWNLOAD=false: never)")
