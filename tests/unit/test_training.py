"""Training: the splits never mix, the loss falls, and what is saved loads into plain transformers and PEFT."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from explain import training
from explain.errors import InputError, ModelError
from explain.training.fitting import Material, calibration_error, fit, fit_temperature, gaps
from explain.training.texts import Rated, is_selection, split, treebank_style

WORDS = ["a", "good", "great", "bad", "dull", "film", "plot", "the", "and", "but", "is", "was", "very", "so"]
STAGE = {
    "epochs": 2,
    "batch": 8,
    "learning_rate": 0.01,
    "head_learning_rate": 0.01,
    "weight_decay": 0.0,
    "warmup": 0.1,
    "mix": {"movie": 1.0},
}
RECIPE = """
seed = 0
threads = 1
[base]
name = "tiny"
package = "tiny_base"
[base.sha256]
"model.safetensors" = "{sha256}"
[data]
folder = "data"
max_tokens = 32
slope = 1.2
[teacher]
source = "movie"
epochs = 1
batch = 8
learning_rate = 0.01
head_learning_rate = 0.01
weight_decay = 0.0
warmup = 0.1
[teacher.mix]
movie = 1.0
[student]
rank = 2
trust = 0.5
epochs = 1
batch = 8
learning_rate = 0.01
head_learning_rate = 0.01
weight_decay = 0.0
warmup = 0.1
[student.mix]
movie = 1.0
fragment = 1.0
"""


def sentences(number: int) -> list[Rated]:
    """Rated sentences of a made-up language in which two words decide everything."""
    rows = []
    for i in range(number):
        good = i % 2 == 0
        middle = " ".join(WORDS[(i // 14**k) % 14] for k in range(3))
        rows.append(
            Rated(f"the plot {middle} film is so very {'great' if good else 'dull'}", 3.0 if good else -3.0, "movie")
        )
    return rows


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package with a tiny random encoder, and a recipe and data beside it."""
    package = tmp_path / "tiny_base"
    package.mkdir()
    (package / "__init__.py").write_text("def get_model_path():\n    return __path__[0]\n")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(package)
    BertTokenizer(vocab=vocabulary).save_pretrained(package)
    sha256 = hashlib.sha256((package / "model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "recipe.toml").write_text(RECIPE.format(sha256=sha256))
    data = tmp_path / "data"
    data.mkdir()
    rows = ["\t".join((r.text, str(r.rating), r.source)) for r in sentences(120)]
    (data / "train.tsv").write_text("\n".join(["text\trating\tsource", *rows]) + "\n")
    (data / "dev.tsv").write_text("text\tlabel\na great and good plot\t1\na dull film\t0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tiny_base", raising=False)
    return tmp_path


def test_development_sentences_never_train() -> None:
    rows = [*sentences(60), Rated("A subtle, well crafted (mostly) chiller.", 2.0, "movie")]
    dev = [("a subtle well crafted lrb mostly rrb chiller", True), (rows[0].text.upper(), True)]
    kept = [row for part in split(rows, dev) for row in part]
    assert rows[0] not in kept
    assert rows[-1] not in kept


def test_a_shared_run_of_six_words_is_enough_to_leave_a_sentence_out() -> None:
    row = Rated("well, one two three four five six, so what", 1.0, "movie")
    assert split([row], [("and one two three four five six", True)]) == ([], [])
    assert split([row], [("and one two three four five", True)]) != ([], [])


def test_selection_is_about_five_percent_and_disjoint_from_training() -> None:
    rows = sentences(2000)
    train, selection = split(rows, [])
    assert not {row.text for row in train} & {row.text for row in selection}
    assert 0.03 < len(selection) / len(rows) < 0.07
    assert all(is_selection(row.text) for row in selection)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It isn't good.", "it is n't good"),
        ('A "witty" film (almost).', "a `` witty '' film lrb almost rrb"),
        ("You cannot win; don’t try", "you can not win do n't try"),
    ],
)
def test_treebank_style(text: str, expected: str) -> None:
    assert treebank_style(text) == expected


def test_loss_falls_on_a_tiny_model() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    model = BertForSequenceClassification(config)
    views = [([2, 6 + i % 2, 3],) for i in range(20)]
    material = Material(views, torch.tensor([float(i % 2) for i in range(20)]), {"movie": list(range(20))})
    before = gaps(model, [views[0][0], views[1][0]])
    losses = fit(model, material, STAGE | {"epochs": 8}, seed=0, progress=lambda line: None)
    after = gaps(model, [views[0][0], views[1][0]])
    assert losses[-1] < losses[0]
    assert after[1] - after[0] > before[1] - before[0]


def test_train_saves_an_adapter_that_plain_transformers_loads(base: Path) -> None:
    lines: list[str] = []
    report = training.train(base / "recipe.toml", out=base / "out", progress=lines.append)
    out = base / "out"
    assert report.trained + sum(is_selection(row.text) for row in sentences(120)) == 120
    assert json.loads(lines[-1])["adapter_sha256"] == report.adapter_sha256
    assert str(base) not in "".join(f.read_text() for f in out.glob("*.json"))
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest

    config = AutoConfig.from_pretrained(out)
    assert config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    model = BertForSequenceClassification.from_pretrained(base / "tiny_base", config=config)
    merged = PeftModel.from_pretrained(model, out).merge_and_unload().eval()
    gap = gaps(merged, [[2, 5, 9, 10, 3]], exact=True)
    assert gap.isfinite().all()

    again = training.train(base / "recipe.toml", data=base / "data", out=base / "again", progress=lines.append)
    assert again.adapter_sha256 == report.adapter_sha256


def test_a_different_base_is_refused(base: Path) -> None:
    recipe = base / "recipe.toml"
    recipe.write_text(RECIPE.format(sha256="0" * 64))
    with pytest.raises(ModelError, match="not the one"):
        training.train(recipe)


def test_missing_data_says_what_to_pass(base: Path) -> None:
    with pytest.raises(InputError, match=r"dev\.tsv"):
        training.train(base / "recipe.toml", data=base)


def test_temperature_undoes_overconfidence() -> None:
    torch.manual_seed(0)
    honest = torch.randn(4000) * 2
    positive = torch.rand(4000) < torch.sigmoid(honest)
    assert fit_temperature(honest * 3, positive) == pytest.approx(3, rel=0.1)
    assert calibration_error(honest, positive) < 0.03 < calibration_error(honest * 3, positive)
