"""How long it takes to explain every token of a generation by the bundled model `tales`.

    python -m tests.benchmarks.generation [--tokens 60] [--times 3]

The model goes on with a text; each token that it wrote is then explained as the next token of the text before it, with
integrated gradients, all tokens refined together. Wall-clock seconds with as many threads as there are cores, the best
of several, and processor seconds beside them, which a busy machine stretches less. What must hold too: each explanation
starts from the log-probability that the token was written with, and adds up to 1 %.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import torch

import explain
from explain.asking import CHECKS
from explain.records import Explanation

PROMPT = "Once upon a time there was a"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--checks", action="store_const", const=None, default=CHECKS, help="run all default checks")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    model = explain.load("tales")
    written = model.generate(PROMPT, tokens=options.tokens, seed=1)
    took, busy, found = [], [], list[Explanation]()
    for _ in range(options.times):
        began, worked = time.perf_counter(), time.process_time()
        found = model.explain_generation(written, checks=options.checks)
        took.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
    missed = [a.relative_residual or 0.0 for e in found for a in e.attributions]
    odds = np.array([e.attributions[0].value_input for e in found], dtype=np.float64)
    told = written.log_probs[list(written.explainable)]
    apart = float(np.abs(-np.logaddexp(0, -odds) - told).max())
    spent = sum(a.evaluations.backward for e in found for a in e.attributions)
    runs = ", ".join(f"{seconds:.1f}" for seconds in took)
    print(
        f"{len(found)} of {len(written.ids)} tokens explained in {min(took):.1f} s on {torch.get_num_threads()} threads"
        f" (all runs: {runs}; {min(busy):.1f} processor seconds)\n{spent:,} gradient evaluations, largest residual "
        f"{max(missed):.2%}, largest difference of a log-probability {apart:.1e}"
    )


if __name__ == "__main__":
    main()
