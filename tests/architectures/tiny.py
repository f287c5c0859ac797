"""A tiny random model of every architecture that transformers offers for sequence classification.

Nothing is downloaded: a model is made from its configuration with small sizes. `SMALL` holds the sizes
under every name that configurations use for them, `SPECIAL` what one architecture needs beside them.
What does not work is data too: `KNOWN` (cannot be explained by gradients, or not at all), `DEAF`
(its words have no influence here), `JUMPS` (the
output jumps or its gradient is approximate, so integrated gradients cannot add up) and `PADDED` (a padded
row changes its logits). Run this file to try all, without pytest:

    python -m tests.architectures.tiny [model_type ...]
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from numpy.polynomial.legendre import leggauss
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    EncoderDecoderConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as MAPPING
from transformers.utils import logging

from explain.model.substitution import lookup, substituted

SPECIALS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
PAD, UNK, CLS, SEP, MASK = range(5)
VOCAB = 200

SMALL: dict[str, Any] = {
    "vocab_size": VOCAB + 8,  # spare: some tokenizer classes add a token of their own when loaded from a folder
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "emb_dim": 32, "embedding_size": 32,
    "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "n_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_decoder_layers": 2,
    "num_attention_heads": 4, "num_heads": 4, "n_head": 4, "n_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_key_value_heads": 2, "num_kv_heads": 4, "head_dim": 8, "d_kv": 8, "d_head": 8,
    "intermediate_size": 48, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "d_ff": 48, "dff": 48, "hidden_dim": 48,
    "d_inner": 48, "n_inner": 48, "ffn_dim": 48, "ffn_hidden_size": 48, "feed_forward_size": 48, "ffn_hidden": 48,
    "max_position_embeddings": 128, "n_positions": 128, "max_seq_len": 128,
    "moe_intermediate_size": 16, "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "shared_expert_intermediate_size": 16,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": SEP, "cls_token_id": CLS, "sep_token_id": SEP,
    "mask_token_id": MASK, "decoder_start_token_id": CLS, "forced_eos_token_id": None,
}  # fmt: skip

MLA = {"num_key_value_heads": 4}  # latent attention has as many key heads as heads
MIXED = {"layer_types": ["linear_attention", "full_attention"]}
GATED = MIXED | {
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
}  # fmt: skip
SMALL_T5 = {"decoder_start_token_id": PAD}

SPECIAL: dict[str, dict[str, Any]] = {
    "axk1": MLA | {"n_group": 2, "topk_group": 1, "mlp_layer_types": ["dense", "sparse"]},
    "axk2": MLA | {"mlp_layer_types": ["dense", "sparse"]},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in ("sliding_attention", "full_attention")
        },
    },
    "deepseek_v2": MLA,
    "deepseek_v3": MLA | {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1},
    "esmc": {"num_key_value_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 4},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4, "visual_embed": False},
    "lilt": {"hidden_size": 48},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "minicpm3": MLA,
    "mistral4": MLA | {"head_dim": 16},
    "mt5": SMALL_T5,
    "neomme": {"head_dim": 16},
    "perceiver": {
        "num_latents": 8, "d_latents": 32, "num_self_attends_per_block": 2, "num_self_attention_heads": 4,
        "num_cross_attention_heads": 4,
    },
    "qwen3_5/text_config": GATED,
    "qwen3_5_text": GATED,
    "qwen3_next": GATED,
    "reformer": {
        "attn_layers": ["local", "lsh"], "attention_head_size": 8, "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [8, 24], "local_attn_chunk_length": 8, "lsh_attn_chunk_length": 8,
    },
    "roc_bert": {
        "shape_vocab_size": 8, "shape_embed_dim": 16, "pronunciation_vocab_size": 8, "pronunciation_embed_dim": 16,
    },
    "t5": SMALL_T5,
    "umt5": SMALL_T5,
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "attention_hidden_size": 64,
        "attention_head_dim": 16, "num_key_value_heads": 4, "mamba_d_state": 4, "mamba_dt_rank": 4,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"], "num_key_value_heads": 4, "mamba_d_state": 8,
        "n_mamba_heads": 4, "chunk_size": 16, "adapter_rank": 8,
    },
}  # fmt: skip

KNOWN: dict[str, str] = {
    "canine": "hashes every character into eight tables: no table holds a vector a token",
    "layoutlmv2": "needs the package detectron2 for its image half, even for text alone",
    "reformer": "its backward pass refuses evaluation mode, and its hashing draws new random rotations at every call",
}

DEAF: dict[str, str] = {
    "mra": "its attention is a CUDA kernel; without it, attention returns zeros and words do not reach the decision",
}

JUMPS: dict[str, str] = dict.fromkeys(
    (
        "axk1", "axk2", "deepseek_v2", "deepseek_v3", "gpt_oss", "hunyuan_v1_moe", "jamba", "jetmoe", "minimax",
        "mistral4", "mixtral", "phimoe", "qwen2_moe", "qwen3_moe", "qwen3_next",
    ),
    "sends each token to its best few experts; the choice jumps along the path",
) | {"yoso": "its backward pass is an approximation of the derivative, by design"}  # fmt: skip

PADDED: dict[str, str] = {
    "convbert": "its convolution reads the padding",
    "fnet": "mixes all positions, padding too, and takes no mask",
    "funnel": "pools neighbouring positions, padding too",
    "mobilebert": "joins each token with its neighbours, padding too",
    "nystromformer": "averages segments of the sequence, padding too",
    "t5gemma": "reads the decision of a row without padding one position earlier",
    "t5gemma2": "reads the decision of a row without padding one position earlier",
    "xlnet": "reads the decision at the last position, padding or not",
    "yoso": "the padding reaches its attention, whatever the mask says",
}


def architectures() -> list[str]:
    """Every model_type in transformers' mapping for sequence classification."""
    return sorted(MAPPING)


def build(model_type: str, num_labels: int = 3, seed: int = 0) -> PreTrainedModel:
    """A tiny random model in evaluation mode, float32, whose ids are those of `tokenizer()`.

    Weights are drawn wider than transformers draws them, so that words and their order change the logits.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config(model_type, num_labels), dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.15)
    return model.eval()


def config(model_type: str, num_labels: int = 3) -> Any:
    """The configuration of `build`."""
    if model_type == "encoder-decoder":  # made of two others
        two = config("bert"), config("bert")
        return EncoderDecoderConfig.from_encoder_decoder_configs(*two, decoder_start_token_id=CLS, pad_token_id=PAD)
    made = AutoConfig.for_model(model_type, **_sizes(model_type, AutoConfig.for_model(model_type).to_dict()))
    made.num_labels = num_labels
    return made


def _sizes(model_type: str, default: dict[str, Any], path: str = "") -> dict[str, Any]:
    special = SPECIAL.get(model_type + path, {})
    sizes = {name: SMALL[name] for name in default if name in SMALL}
    for name, value in default.items():
        if isinstance(value, dict) and "model_type" in value:
            sizes[name] = _sizes(model_type, value, f"{path}/{name}")
    return sizes | special


def tokenizer(vocab: int = VOCAB) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer made in memory: [CLS] text [SEP], letters as the last resort, [PAD] is 0."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    marks = ".,;:!?'\"()-"
    words = [
        "the", "a", "and", "of", "to", "is", "it", "in", "this", "that", "not", "was", "with", "for", "movie", "film",
        "very", "good", "bad", "great", "awful", "one", "two", "three", "four", "story", "actor", "funny", "dull",
        "never", "always", "no", "yes", "but", "so", "too", "film's", "witty", "boring", "love", "hate", "best",
        "worst", "plot", "end", "time",
    ]  # fmt: skip
    pairs = [f"##{a}{b}" for a in "eintsr" for b in "aeinorst"]
    pieces = list(dict.fromkeys([*SPECIALS.values(), *letters, *("##" + c for c in letters), *marks, *words, *pairs]))
    pieces = [*pieces, *(f"[unused{i}]" for i in range(vocab))][:vocab]
    inner = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token=SPECIALS["unk"]))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{name}_token": token for name, token in SPECIALS.items()},
    )


def tokens(*texts: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (N, T) of the texts, padded on the right."""
    rows = [tokenizer()(text)["input_ids"] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])


def logits_of(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(N, 3), checked."""
    found: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids) if mask is None else mask).logits
    assert found.shape == (len(ids), model.config.num_labels), f"logits of shape {tuple(found.shape)}"
    assert found.isfinite().all(), "logits are not finite"
    return found


def try_out(model_type: str) -> dict[str, float]:
    """Run one architecture through everything; raises when something is wrong, returns what was measured.

    Keys: `padded`, the change of a row's logits when it is padded; `error`, by how much integrated
    gradients miss the difference of the logits, relative to the sum of all scores' sizes.
    """
    model = build(model_type).requires_grad_(False)
    alone, _ = tokens("not bad at all")
    ids, mask = tokens("a very good film with a witty story", "not bad at all")
    with torch.no_grad():
        plain, single = logits_of(model, ids, mask), logits_of(model, alone)
        assert torch.equal(logits_of(model, alone), single), "two equal calls give different logits"
        equal = logits_of(model, alone.repeat(2, 1))
        assert (equal - single).abs().max() <= 1e-5, "a row's logits depend on its neighbour"
        embeds = lookup(model, ids)
        with substituted(model, ids, embeds) as seen:
            again = logits_of(model, ids, mask)
    assert seen.used and not seen.missed, f"the ids were not looked up, or not recognised: {seen}"
    assert torch.equal(again, plain), f"substitution changes the logits by {(again - plain).abs().max():.1e}"

    embeds.requires_grad_(True)
    with substituted(model, ids, embeds):
        value = logits_of(model, ids, mask)[:, 1].sum()
    (slope,) = torch.autograd.grad(value, embeds)  # (N, T, D)
    assert slope.isfinite().all(), "the gradient is not finite"
    assert slope[0].abs().sum(-1).gt(0).all(), "no gradient arrives at some words"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()), "a hook was left"

    for steps in (64, 512, 4096):  # random weights make some paths steep, but a steep path adds up in the end
        error = completeness(model, ids[:1], steps)
        if error <= 0.01 or model_type in JUMPS:
            break
    return {"padded": float((plain[1] - single[0]).abs().max()), "error": error}


def completeness(model: PreTrainedModel, ids: torch.Tensor, steps: int) -> float:
    """|sum of integrated gradients - difference of the logits| / sum of the scores' sizes, baseline [PAD]."""
    nodes, weights = (torch.tensor(a, dtype=torch.float32) / 2 for a in leggauss(steps))
    alphas = torch.cat([nodes + 0.5, torch.tensor([0.0, 1.0])])  # (S+2,)
    with torch.no_grad():
        end = lookup(model, ids)  # (1, T, D)
        words = (ids != CLS) & (ids != SEP)
        start = torch.where(words[..., None], lookup(model, torch.full_like(ids, PAD)), end)
    path = (start + alphas[:, None, None] * (end - start)).requires_grad_(True)  # (S+2, T, D)
    many = ids.repeat(len(alphas), 1)
    with substituted(model, many, path):
        values = logits_of(model, many)[:, 1]  # (S+2,)
    (slopes,) = torch.autograd.grad(values.sum(), path)
    scores = torch.einsum("s,std,td->t", weights, slopes[:-2], (end - start)[0])  # (T,)
    difference = (values[-1] - values[-2]).detach()
    return float((scores.sum() - difference).abs() / scores.abs().sum().clamp_min(1e-9))


def verdict(model_type: str) -> tuple[bool, str]:
    """Does it work as the tables above say, and a line about it."""
    try:
        found = try_out(model_type)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        return False, f"{KNOWN.get(model_type, 'NOT LISTED')} [{type(error).__name__}: {reason}]"
    notes = [f"padded {found['padded']:.0e}", f"error {found['error']:.0e}"]
    padded, jumps = found["padded"] > 1e-5, found["error"] > 0.01
    surprises = [
        *(["works, though KNOWN says no"] if model_type in KNOWN else []),
        *(["padding changes the logits: NOT LISTED"] if padded and model_type not in PADDED else []),
        *(["scores do not add up: NOT LISTED"] if jumps and model_type not in JUMPS else []),
    ]
    return not surprises, "; ".join([*surprises, *notes])


def main(chosen: list[str]) -> int:
    """Try all, print each failure with its reason and the count; 1 if anything is not as listed."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    names = chosen or architectures()
    good = 0
    surprising = False
    for name in names:
        works, line = verdict(name)
        good += works
        surprising = surprising or (not works and name not in KNOWN) or (works and name in KNOWN)
        if chosen or not works:
            print(f"{'ok  ' if works else 'FAIL'} {name:22s} {line}", flush=True)
    print(f"{good} of {len(names)} architectures")
    if not chosen:
        print(f"of these, padding changes the logits of {len(PADDED)}: {', '.join(PADDED)}")
        print(f"and the output jumps in {len(JUMPS)}: {', '.join(JUMPS)}")
    return int(surprising)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
