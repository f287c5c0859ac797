"""Captum's IntegratedGradients over embeddings: a fixed number of steps, or doubled until the sum is within 1 %.

The same baseline (mask tokens between the specials) and the same scalar (log-odds) as Whyboard's default.
"""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from common import Explain, load, log_odds, main, relative_residual

FIRST, LAST, ENOUGH = 50, 3200, 0.01


def prepare(folder: str, variant: str) -> Explain:
    """`variant` is NAME-STEPS or NAME-doubled; NAME is ig or lig."""
    model, tokenizer = load(folder)
    name, _, steps = variant.partition("-")
    table = model.get_input_embeddings()

    def run(text: str) -> dict[str, Any]:
        encoded = tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)
        special = encoded["special_tokens_mask"][0].bool()
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        blank = torch.where(special, ids, tokenizer.mask_token_id)
        with torch.no_grad():
            ends = model(torch.cat([ids, blank]), attention_mask=mask.expand(2, -1)).logits
        index = int(ends[0].argmax())
        change = float(log_odds(ends, index) @ torch.tensor([1.0, -1.0]))

        def forward(x: torch.Tensor) -> torch.Tensor:
            given = {"input_ids" if x.dtype == torch.long else "inputs_embeds": x}
            return log_odds(model(**given, attention_mask=mask.expand(len(x), -1)).logits, index)

        method: Any = IntegratedGradients(forward) if name == "ig" else LayerIntegratedGradients(forward, table)
        inputs, base = (table(ids), table(blank)) if name == "ig" else (ids, blank)
        count, spent = FIRST if steps == "doubled" else int(steps), 0
        while True:
            found = method.attribute(inputs, baselines=base, n_steps=count, internal_batch_size=64)
            spent += count
            scores = found[0].sum(-1).tolist()
            relative = relative_residual(change, scores)
            if steps != "doubled" or relative <= ENOUGH or count >= LAST:
                return {"scores": scores, "relative": relative, "passes": [2, spent]}
            count *= 2

    return run


if __name__ == "__main__":
    main(prepare)
