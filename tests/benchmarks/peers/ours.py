"""Whyboard, one text at a time, without checks. The variant is a method, or METHOD/alone, or METHOD/total.

A method by its name is a whole answer: prediction, scores, and what each word does when it is taken out. `alone`
leaves out the last, which no peer measures. `total` asks of integrated gradients only what Captum's residual can tell:
that the scores add up within 1 %, and nothing about each word.
"""

from __future__ import annotations

from typing import Any

from common import Explain, main


def prepare(folder: str, variant: str) -> Explain:
    """Explain by the method named by `variant`."""
    import explain
    from explain.drive import drive
    from explain.methods import find
    from explain.model.runner import Meter
    from tests.cases import case_of

    model = explain.load(folder)
    name, _, how = variant.partition("/")
    method = find(name)
    options = {"word_tolerance": 1.0} if how == "total" else {}

    def run(text: str) -> dict[str, Any]:
        if how:
            case = case_of(model, text)
            ((first, cost),) = drive(model, [method.fn(case, method.configured(options))], Meter())
        else:
            (first,) = model.explain(text, methods=[name], checks=()).attributions
            cost = first.evaluations
        return {
            "scores": first.scores.tolist(),
            "relative": first.relative_residual,
            "passes": [cost.forward, cost.backward],
        }

    return run


if __name__ == "__main__":
    main(prepare)
