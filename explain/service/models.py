"""Models that stay loaded: the least recently used one goes first when there are too many, or too large ones."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable

from explain.engine import Model, load


class Models:
    """At most `most` models of at most `megabytes` of weights together; the one that is asked for always stays."""

    def __init__(self, most: int, megabytes: int, load: Callable[[str], Model] = load) -> None:
        self.most, self.megabytes, self._load = most, megabytes, load
        self._kept: OrderedDict[str, Model] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are loaded, least recently used first."""
        return tuple(self._kept)

    def get(self, name: str) -> Model:
        """A model, loaded if it is not; raises ModelError as `explain.load`."""
        if name not in self._kept:
            self._make_room(1)
            self._kept[name] = self._load(name)
        self._kept.move_to_end(name)
        while len(self._kept) > 1 and sum(map(_megabytes, self._kept.values())) > self.megabytes:
            self._drop()
        return self._kept[name]

    def _make_room(self, places: int) -> None:
        while self._kept and len(self._kept) + places > self.most:
            self._drop()

    def _drop(self) -> None:
        self._kept.popitem(last=False)
        gc.collect()  # module and tokenizer refer to each other


def _megabytes(model: Model) -> float:
    """What the weights take, each counted once however often it is shared."""
    tensors = {t.data_ptr(): t.nbytes for t in (*model.module.parameters(), *model.module.buffers())}
    return sum(tensors.values()) / 1e6
