"""What all tests share: quiet libraries, no network, tiny models made once a process, and the faces on top of them.

A run in which any process asks another machine for anything fails (`tests/loopback`).
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterator

from tests.loopback import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401  pytest calls them

os.environ.setdefault("HF_HUB_OFFLINE", "0")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["EXPLAIN_ALLOW_DOWNLOAD"] = "false"

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import BertForMaskedLM
from transformers.utils import logging

from explain import cli, list_methods
from explain.engine import Model, load
from explain.service import Service, service
from tests.engines import Inline
from tests.talking import TEMPLATE, saying
from tests.tiny import answers_folder, bert_folder, inference_folder, llama_folder, tags_folder, writer_folder

MAIN = Path(__file__).resolve().parents[1] / "explain" / "dashboard" / "main.py"

logging.set_verbosity_error()
logging.disable_progress_bar()


@pytest.fixture(scope="session", autouse=True)
def no_worker_stays() -> Iterator[None]:
    """A page that a test drives without a service of its own shares this process's, which ends with the tests."""
    yield
    service().stop(0)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """A test that left torch with other threads would change the last bits of whatever comes after it."""
    before = torch.get_num_threads()
    yield
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == before, f"torch ran with {before} threads before the test and with {after} after it"


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer BERT classifier with two labels, on disk."""
    return bert_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(tiny_folder))


@pytest.fixture(scope="session")
def teller_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer causal language model, on disk."""
    return llama_folder(tmp_path_factory.mktemp("teller"))


@pytest.fixture(scope="session")
def teller(teller_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(teller_folder))


@pytest.fixture(scope="session")
def speaker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random causal model whose tokenizer has a chat template, on disk."""
    return saying(tmp_path_factory.mktemp("speaker"), TEMPLATE)


@pytest.fixture(scope="session")
def speaker(speaker_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(speaker_folder))


@pytest.fixture(scope="session")
def scribe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with an encoder and a decoder, on disk."""
    return writer_folder(tmp_path_factory.mktemp("scribe"))


@pytest.fixture(scope="session")
def scribe(scribe_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(scribe_folder))


@pytest.fixture(scope="session")
def filler_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer masked language model, on disk."""
    return bert_folder(tmp_path_factory.mktemp("filler"), head=BertForMaskedLM)


@pytest.fixture(scope="session")
def filler(filler_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(filler_folder))


@pytest.fixture(scope="session")
def tagger_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer BERT that tags words, on disk."""
    return tags_folder(tmp_path_factory.mktemp("tagger"))


@pytest.fixture(scope="session")
def tagger(tagger_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(tagger_folder))


@pytest.fixture(scope="session")
def answerer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer BERT that finds answers in a context, on disk."""
    return answers_folder(tmp_path_factory.mktemp("answerer"))


@pytest.fixture(scope="session")
def answerer(answerer_folder: Path) -> Model:
    """The same, loaded."""
    return load(str(answerer_folder))


@pytest.fixture(scope="session")
def inferrer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 2-layer BERT with the three labels of natural language inference, on disk."""
    return inference_folder(tmp_path_factory.mktemp("inferrer"))


@pytest.fixture(scope="session")
def inferrer(inferrer_folder: Path) -> Model:
    """The same, loaded as what its configuration says: a classifier of texts and pairs."""
    return load(str(inferrer_folder))


@pytest.fixture(scope="session")
def tales() -> Model:
    """The bundled model of fairy tales."""
    return load("tales")


@pytest.fixture(scope="session")
def sentiment() -> Model:
    """The bundled model."""
    return load("sentiment")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Call the command line in this process: (exit code, standard output, standard error)."""

    def call(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["explain", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(cli, "_out", cli.Console(width=160))
        monkeypatch.setattr(cli, "_err", cli.Console(stderr=True, width=160))
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


def undated(text: str) -> str:
    """JSON without clock times."""
    return re.sub(r'"created":"[^"]*"|"seconds":[0-9.e-]+', "", text)


def dashboard(folder: Path, patch: pytest.MonkeyPatch) -> AppTest:
    """A new session of the dashboard, with a service of its own in this process and the model in `folder`."""
    own = Service(Inline())
    patch.setattr("explain.dashboard.jobs.service", lambda: own)
    found = AppTest.from_file(str(MAIN), default_timeout=60)
    found.query_params["model"] = str(folder)
    found.session_state["trusted"] = str(folder)  # as if Explain had been pressed
    found.session_state["settings"] = True  # opened, so that they are drawn
    return found


@pytest.fixture
def app(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard on the tiny model."""
    return dashboard(tiny_folder, monkeypatch)


def finish(app: AppTest) -> AppTest:
    """Run until the job is over and the page shows it."""
    app.run()
    job = app.session_state["job"]
    assert job.wait(60)
    time.sleep(0.05)
    return app.run()


def choose(app: AppTest, method: str) -> None:
    """Pick a method as a person does: its family, then it."""
    family = next(m.family for m in list_methods() if m.name == method)
    app.segmented_control(key="family").set_value(family).run()
    app.radio(key=f"pick.{family}").set_value(method)
    finish(app)


def html_of(app: AppTest) -> str:
    """All HTML on the page."""
    return "\n".join(e.proto.body for e in app.get("html"))
