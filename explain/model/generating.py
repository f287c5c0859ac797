"""Where a written text begins and ends, as a checkpoint's own settings say it to transformers' `generate`.

`generation_config` is asked first (what generation_config.json holds, or config.json where there is none), then, which
transformers does not, the configuration and the tokenizer. Least lengths and early stopping are not followed. A setting
may be one id or several.
"""

from __future__ import annotations

from typing import Any


def ids(module: Any, name: str) -> tuple[int, ...]:
    """The token ids that a setting names, in order; () where it is not set."""
    for settings in (getattr(module, "generation_config", None), module.config):
        said = getattr(settings, name, None)
        found = tuple(said) if isinstance(said, (list, tuple)) else (said,)
        if found and all(isinstance(one, int) for one in found):
            return found
    return ()


def begin(module: Any) -> tuple[int, ...]:
    """What every text of a decoder begins with: its start token, and one that is forced to be the first; () for none.

    Of several start tokens the first: the others are for further texts of a batch.
    """
    start = ids(module, "decoder_start_token_id") or ids(module, "bos_token_id")
    return (*start[:1], *ids(module, "forced_bos_token_id")[:1]) if start else ()


def ends(module: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens of which each ends a text; the tokenizer's own where the settings name none."""
    own = tokenizer.eos_token_id
    return frozenset(ids(module, "eos_token_id") or (() if own is None else (own,)))


def cut(module: Any) -> bool:
    """Whether the last token that there is room for is forced to be an end."""
    return bool(ids(module, "forced_eos_token_id"))
