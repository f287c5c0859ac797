"""Record the attention weights of chosen layers, without leaving a trace on the model.

The fast kernels do not return weights, so one pass is made with transformers' eager kernel, under the
model's lock, and the kernel is put back afterwards, also after an error.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32

from explain.errors import InputError, ModelError
from explain.model.encoding import Encoding
from explain.model.runner import Runner
from explain.records import AttentionMaps

ROW_SUM_TOLERANCE = 1e-3


def attention_maps(runner: Runner, encoding: Encoding, layers: tuple[int, ...]) -> tuple[AttentionMaps, ...]:
    """Weights (H, T, T) of each chosen layer; rows are queries and sum to 1.

    Raises:
        InputError: there is no such layer.
        ModelError: the model gives no attention weights, or ones that are no distribution.
    """
    inputs = {name: torch.from_numpy(np.array(a))[None].to(runner.device) for name, a in encoding.inputs.items()}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    config = runner.module.config
    with runner.lock, torch.inference_mode():
        kernel = getattr(config, "_attn_implementation", None)
        try:
            if kernel != "eager":
                runner.module.set_attn_implementation("eager")  # type: ignore[operator]
            outputs = runner.module(**inputs, output_attentions=True)
        finally:
            if kernel not in ("eager", None):
                runner.module.set_attn_implementation(kernel)  # type: ignore[operator]
    found = getattr(outputs, "attentions", None) or getattr(outputs, "encoder_attentions", None)
    if not found or any(a is None for a in found):
        raise ModelError(f"{runner.info.architecture} gives no attention weights.", code="no_attention")
    if bad := [i for i in layers if not 0 <= i < len(found)]:
        raise InputError(f"There is no layer {bad[0]}: this model has layers 0 to {len(found) - 1}.", code="bad_layer")
    return tuple(_maps(i, found[i][0].float().cpu().numpy()) for i in layers)


def _maps(layer: int, weights: Float32[np.ndarray, "H T T"]) -> AttentionMaps:
    off = float(np.abs(weights.sum(-1) - 1).max())
    if off > ROW_SUM_TOLERANCE:
        raise ModelError(
            f"Attention of layer {layer} is no distribution: a row sums to 1 ± {off:.2g}.", code="bad_attention"
        )
    causal = weights.shape[-1] > 1 and float(np.triu(weights.max(0), 1).max()) == 0.0
    return AttentionMaps(layer, tuple(range(len(weights))), weights, "causal" if causal else "encoder")
