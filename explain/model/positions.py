"""How many tokens a model has positions for: what is read, and what a decoder of its own may write about it.

Most models with an encoder and a decoder have as many for both. Some have fewer for what is written (LED: 16,384 and
1,024), and of two networks put together each has its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import nn

UNKNOWN = 512
"""Tokens that are read where nothing says how many may be."""


def read(module: Any, tokenizer: Any) -> int:
    """The least of what tokenizer, configuration and learned position tables allow of the text that is read."""
    config = module.config
    own = [getattr(config, "max_encoder_position_embeddings", None), *_configured(getattr(config, "encoder", None))]
    shared = [] if any(own) else _configured(config.get_text_config() if hasattr(config, "get_text_config") else config)
    limits = (tokenizer.model_max_length, *own, *shared, *_tables(module, decoder=False))
    return min(_sane(limits), default=UNKNOWN)


def written(module: Any, otherwise: int) -> int:
    """The most tokens that a decoder reads of what it writes, those that it begins with included.

    `otherwise` is what is read, which counts where the decoder has no limit of its own.
    """
    config = module.config
    own = [getattr(config, "max_decoder_position_embeddings", None), *_configured(getattr(config, "decoder", None))]
    limits = _sane((*own, *_tables(module, decoder=True))) if _two(config) else []
    return min(limits, default=otherwise)


def _configured(config: Any) -> list[Any]:
    return [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]


def _tables(module: Any, *, decoder: bool) -> Iterator[int]:
    """Places that learned tables have, those of the `decoder` or all others."""
    for name, part in module.named_modules():
        mine = ("decoder" in name.split(".") and _two(module.config)) is decoder
        if mine and isinstance(part, nn.Embedding) and name.endswith("position_embeddings"):
            offset = 0 if part.padding_idx is None else part.padding_idx + 1  # RoBERTa counts from there
            yield part.num_embeddings - offset


def _two(config: Any) -> bool:
    return bool(getattr(config, "is_encoder_decoder", False))


def _sane(limits: Any) -> list[int]:
    return [int(n) for n in limits if isinstance(n, (int, float)) and 0 < n < 1e7 and math.isfinite(n)]
