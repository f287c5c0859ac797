"""Train a two-class text model from its recipe: one seed, one small adapter.

`train` reads a `recipe.toml`, fits a whole teacher and then a LoRA student on graded human ratings, fits one
temperature, folds it into the head (so that a plain softmax is calibrated) and saves the adapter beside the recipe.

Three sets never mix: 95 % of the rated sentences train, the other 5 % (chosen by hash) serve selection and the
temperature, and the development sentences are only measured, at the very end.
"""

from __future__ import annotations

import importlib
import json
import random
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

from explain.errors import ModelError
from explain.model.quiet import quiet
from explain.training.files import sha256, write_checksums
from explain.training.fitting import (
    HEAD,
    Ids,
    Material,
    MeanPooled,
    Plan,
    Progress,
    accuracy,
    calibration_error,
    fit,
    fit_temperature,
    gaps,
)
from explain.training.texts import Rated, fragments, read_labelled, read_rated, split, treebank_style

LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
CLEAR = 0.5  # a rating this far from zero counts as a clear label when the selection split is scored


@dataclass(frozen=True)
class Report:
    """What one training run measured; `dev_*` were never used to choose anything."""

    trained: int
    selection: int
    selection_accuracy: float
    temperature: float
    dev_accuracy: float
    dev_ece_before: float
    dev_ece_after: float
    minutes: float
    adapter_sha256: str


class Base:
    """The pretrained encoder that a recipe names, checked against the recipe's checksums."""

    def __init__(self, plan: Plan) -> None:
        package, self.seed, self.limit = plan["base"]["package"], plan["seed"], plan["data"]["max_tokens"]
        self.path = Path(importlib.import_module(package).get_model_path())
        for file, expected in plan["base"]["sha256"].items():
            if sha256(self.path / file) != expected:
                raise ModelError(f"{file} of the package {package} is not the one this recipe was written for.")
        self.tokenizer = AutoTokenizer.from_pretrained(self.path)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of every text, cut to the recipe's length."""
        return self.tokenizer(list(texts), truncation=True, max_length=self.limit)["input_ids"]

    def classifier(self) -> Any:
        """A fresh two-class classifier on the encoder; equal seeds give equal heads."""
        torch.manual_seed(self.seed)
        config = AutoConfig.from_pretrained(self.path, id2label=LABELS, label2id={v: k for k, v in LABELS.items()})
        config.problem_type = "single_label_classification"
        options = {"config": config, "dtype": torch.float32, "attn_implementation": "eager"}
        with quiet():
            return BertForSequenceClassification.from_pretrained(self.path, **options)


def prepare(base: Base, plan: Plan, rows: Sequence[Rated]) -> Material:
    """Encode the sentences and, for the teacher to label, fragments of those from its source."""
    pools = {name: [i for i, row in enumerate(rows) if row.source == name] for name in plan["student"]["mix"]}
    pieces = fragments([row for row in rows if row.source == plan["teacher"]["source"]], random.Random(plan["seed"]))
    pools["fragment"] = list(range(len(rows), len(rows) + len(pieces)))
    texts = [row.text for row in rows] + pieces
    views = zip(base.encode(texts), base.encode([treebank_style(text) for text in texts]), strict=True)
    ratings = torch.tensor([row.rating for row in rows] + [0.0] * len(pieces))
    return Material(list(views), torch.sigmoid(plan["data"]["slope"] * ratings), pools)


def teach(base: Base, plan: Plan, material: Material, progress: Progress) -> None:
    """Fine-tune a whole model, and mix what it says about its source and the fragments into the goals."""
    progress("Teacher: the whole model, mean pooling.")
    teacher = MeanPooled(base.classifier())
    fit(teacher, material, plan["teacher"], plan["seed"], progress)
    whole, pieces = material.pools[plan["teacher"]["source"]], material.pools["fragment"]
    taught = torch.sigmoid(gaps(teacher, [material.views[i][0] for i in whole + pieces]))
    trust = torch.tensor([plan["student"]["trust"]] * len(whole) + [1.0] * len(pieces))
    material.goals[whole + pieces] = trust * taught + (1 - trust) * material.goals[whole + pieces]


def study(base: Base, plan: Plan, material: Material, progress: Progress) -> Any:
    """Train the LoRA adapter, pooler and head of the student."""
    progress("Student: a LoRA adapter, taught by ratings and teacher.")
    rank, linear = plan["student"]["rank"], r".*encoder.*\.(query|key|value|dense)"
    lora = LoraConfig(r=rank, lora_alpha=rank, target_modules=linear, modules_to_save=HEAD.copy(), task_type="SEQ_CLS")
    with quiet():
        student = get_peft_model(base.classifier(), lora)
    fit(student, material, plan["student"], plan["seed"], progress)
    return student


def train(recipe: Path, *, data: Path | None = None, out: Path | None = None, progress: Progress = print) -> Report:
    """Train what `recipe` says and save adapter, configuration and checksums in `out` (default: beside the recipe).

    `data` is the folder with `train.tsv` and `dev.tsv`, if it is not where the recipe says.
    """
    began, plan = time.monotonic(), tomllib.loads(recipe.read_text(encoding="utf-8"))
    data, out = data or recipe.parent / plan["data"]["folder"], out or recipe.parent
    dev = read_labelled(data / "dev.tsv")
    training, selection = split(read_rated(data / "train.tsv"), dev)
    clear = [row for row in selection if row.source == plan["teacher"]["source"] and abs(row.rating) >= CLEAR]
    threads = torch.get_num_threads()
    torch.set_num_threads(plan["threads"])
    try:
        base = Base(plan)
        material = prepare(base, plan, training)
        teach(base, plan, material, progress)
        student = study(base, plan, material, progress)
        positive = torch.tensor([row.rating > 0 for row in clear])
        gap = gaps(student, base.encode([row.text for row in clear]))
        temperature = fit_temperature(gap, positive)
        inputs, truth = base.encode([text for text, _ in dev]), torch.tensor([label for _, label in dev])
        before = gaps(student, inputs, exact=True)
        fold(student, temperature)
        after = gaps(student, inputs, exact=True)
        save(student, out, plan["base"]["name"])
    finally:
        torch.set_num_threads(threads)
    report = Report(
        trained=len(training),
        selection=len(clear),
        selection_accuracy=accuracy(gap, positive),
        temperature=temperature,
        dev_accuracy=accuracy(after, truth),
        dev_ece_before=calibration_error(before, truth),
        dev_ece_after=calibration_error(after, truth),
        minutes=(time.monotonic() - began) / 60,
        adapter_sha256=sha256(out / "adapter_model.safetensors"),
    )
    progress(json.dumps(asdict(report), indent=2))
    return report


def fold(model: Any, temperature: float) -> None:
    """Divide the head by the temperature, and round what was trained to the half precision it is stored in."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_((weight / (temperature if "classifier" in name else 1.0)).half().float())


def save(model: Any, out: Path, base: str) -> None:
    """Write adapter, adapter and model configuration, and their SHA256SUMS."""
    out.mkdir(parents=True, exist_ok=True)
    state = {name: w.detach().half().contiguous() for name, w in get_peft_model_state_dict(model).items()}
    save_file(state, out / "adapter_model.safetensors", metadata={"format": "pt"})
    (out / "adapter_model.safetensors").chmod(0o644)
    adapter, config = model.peft_config["default"], model.base_model.model.config
    adapter.base_model_name_or_path, adapter.inference_mode = base, True
    adapter.modules_to_save = HEAD.copy()
    adapter.save_pretrained(out)
    config.architectures = ["BertForSequenceClassification"]
    config.save_pretrained(out)
    write_checksums(out)
