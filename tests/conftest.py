"""What all tests share: quiet libraries, no network, and tiny models made once a process."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "0")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["EXPLAIN_ALLOW_DOWNLOAD"] = "false"

from pathlib import Path

import pytest
from transformers.utils import logging

from explain.engine import Model, load
from tests.tiny import bert_folder

logging.set_verbosity_error()
logging.disable_progress_bar()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer BERT classifier with two labels, on disk."""
    return bert_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(tiny_folder))


@pytest.fixture(scope="session")
def sentiment() -> Model:
    """The bundled model."""
    return load("sentiment")
