"""How much memory a model's passes hold at once: counted on short texts, and held against the process once.

What a pass holds grows with the length t of a row as c + a t + b t² (attention weights are the last term, where they
are kept at all) and with the number of rows. Three short passes give c, a and b: every tensor that comes and goes is
counted, in the forward pass and in the backward pass, so the figure does not depend on what else runs. What the
kernels take beside their tensors cannot be counted so; it is measured once, as how far the memory of this process
rises during a pass, over what was counted.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from explain.errors import ExplainError
from explain.model import room
from explain.model.chunks import is_out_of_memory
from explain.model.inside import kernel, maps_of
from explain.model.rows import Row
from explain.model.runner import NOTHING, Runner
from explain.model.written import bare

LONGEST, ROWS = 32, 4
"""Tokens of the longest row that is counted, and how many such rows are run to see the process grow."""
LEAST, MOST, USUAL = 1.0, 4.0, 2.0
"""Bounds of what the process may take over what is counted; and what is taken where the system does not say."""


@dataclass(frozen=True)
class Pass:
    """A kind of pass: with a backward pass or without, and whether it keeps the attention weights of every layer."""

    backward: bool = False
    maps: bool = False


@dataclass(frozen=True)
class Size:
    """Bytes that one row of t tokens holds at its height: `row` + `token` · t + `square` · t²."""

    row: float
    token: float
    square: float

    def of(self, rows: int, tokens: int) -> int:
        """Bytes of so many rows of `tokens` each."""
        return round(rows * (self.row + self.token * tokens + self.square * tokens**2))


_known: WeakKeyDictionary[nn.Module, dict[Pass, Size | None]] = WeakKeyDictionary()


def size(runner: Runner, kind: Pass) -> Size | None:
    """What was learned; None where nothing was, or where it could not be."""
    return _known.get(runner.module, {}).get(kind)


def learn(runner: Runner, kinds: Sequence[Pass]) -> Mapping[Pass, Size | None]:
    """Count the kinds of passes that were not counted yet; one that this model cannot make is remembered as None."""
    with runner.lock:
        known = _known.setdefault(runner.module, {})
        for kind in kinds:
            if kind not in known:
                known[kind] = _measured(runner, kind)
        return known


def weights(module: nn.Module) -> int:
    """Bytes of a model's parameters and buffers; shared ones count once."""
    return sum({t.data_ptr(): t.nbytes for t in (*module.parameters(), *module.buffers())}.values())


def free(runner: Runner) -> int | None:
    """Bytes that can be had now where the model runs; None where the system does not say."""
    if runner.device.type == "cuda":
        unused = torch.cuda.memory_reserved(runner.device) - torch.cuda.memory_allocated(runner.device)
        return int(torch.cuda.mem_get_info(runner.device)[0]) + unused
    return room.free()


def _measured(runner: Runner, kind: Pass) -> Size | None:
    longest = min(LONGEST, runner.info.max_tokens)
    lengths = [max(1, longest // 4), max(1, longest // 2), longest]
    try:
        with runner._in_our_words():
            _once(runner, _rows(runner, 1, lengths[0]), kind)  # what is made at the first pass is no part of any
            counted = [_counted(lambda n=n: _once(runner, _rows(runner, 1, n), kind)) for n in lengths]  # type: ignore[misc]
            rows = _rows(runner, 1 if runner.padding == "single" else ROWS, longest)
            factor = rise(lambda: _once(runner, rows, kind)) / (len(rows) * max(1, counted[-1]))
    except ExplainError:
        return None
    except Exception as error:
        if is_out_of_memory(error):
            return None
        raise
    if not np.isfinite(factor) or runner.device.type != "cpu":  # on other devices the kernels' share is counted too
        factor = USUAL if runner.device.type == "cpu" else LEAST
    square, token, row = np.polyfit(lengths, counted, 2) if len(set(lengths)) == 3 else (0, counted[-1] / longest, 0)
    if kind.maps:  # of long rows the weights of all layers stand highest, and again stacked: short ones do not show it
        copies = 4 if kind.backward else 2  # with a backward pass their slopes too
        square = max(square, 4 * copies * runner.info.n_layers * runner.info.n_heads)
    return Size(*(max(0.0, float(x)) * min(MOST, max(LEAST, factor)) for x in (row, token, square)))


def _rows(runner: Runner, count: int, tokens: int) -> list[Row]:
    """So many rows of some tokens each."""
    given = runner.tokenizer("one two three four")
    read = max(1, tokens - len(runner.begin))
    inputs = {name: np.resize(np.array(given[name]), read) for name in given if name != "attention_mask"}
    kept = {name: ids for name, ids in inputs.items() if name in ("input_ids", "token_type_ids")}
    return [bare(kept, runner.begin, NOTHING)] * count


def _once(runner: Runner, rows: list[Row], kind: Pass) -> Any:
    """One pass of that kind, as the primitives make it; what is returned is held until it is dropped."""
    with (
        torch.set_grad_enabled(kind.backward),
        kernel(runner.module, "eager") if kind.maps else contextlib.nullcontext(),
    ):
        embeds = runner.embeddings(rows).detach().requires_grad_(True) if kind.backward else None
        outputs = runner.call(rows, embeds, **({"output_attentions": True} if kind.maps else {}))
        raw = runner.raw(outputs, rows)
        maps = maps_of(outputs, "encoder" if rows[0].source else None) if kind.maps else ()
        slopes: tuple[Tensor | None, ...] = ()
        if kind.backward:
            slopes = torch.autograd.grad(raw.sum(), maps or embeds, allow_unused=True)  # type: ignore[arg-type]
    stacked = [torch.stack([t.detach().float() for t in some if t is not None]) for some in (maps, slopes) if some]
    return outputs, stacked


def _counted(run: Callable[[], Any]) -> int:
    """Bytes of the tensors that a call makes, where most of them are there at once."""
    with _Alive() as alive:
        run()
    return alive.most


class _Alive(TorchDispatchMode):
    """Follows every storage from the operation that made it to its end."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count what it made: not what it changed in place, nor what it shows of its input."""
        kwargs = kwargs or {}
        given = {t.untyped_storage()._cdata for t in tree_iter((args, kwargs)) if isinstance(t, Tensor)}
        found = func(*args, **kwargs)
        for tensor in tree_iter(found):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given | self._seen.keys():
                self._add(tensor.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def end(_: Any) -> None:
            del self._seen[key]
            self.now -= size

        self._seen[key] = weakref.ref(storage, end)
        self.now += size
        self.most = max(self.most, self.now)


def rise(run: Callable[[], Any]) -> float:
    """Bytes by which the memory of this process rises during a call; NaN where the system does not say."""
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # else what was freed before is used again, and nothing rises
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the height is that from now on
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except (OSError, KeyError, ValueError):
        return float("nan")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return float(dict(line.split(":", 1) for line in lines)[name].split()[0]) * 1024
