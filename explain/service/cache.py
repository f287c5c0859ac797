"""Answers of the last minutes, for whoever asks the same of the same model. In memory only."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from typing import cast

from explain import canonical
from explain.service.job import Answer, Asked, Facts
from explain.service.messages import pack, unpack

LARGEST = 64 * 2**20
"""Bytes of all answers together."""


class Answers:
    """At most `entries` answers of the last `seconds`; the oldest goes first.

    The key covers everything that changes an answer. It is an HMAC under a key of this process: a bare hash of a short
    text could be guessed from a memory dump's index.
    """

    def __init__(self, seconds: float, entries: int, largest: int = LARGEST) -> None:
        self.seconds, self.entries, self.largest = seconds, entries, largest
        self._secret = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._size, self._lock = 0, threading.Lock()

    def key(self, facts: Facts | None, request: Asked) -> bytes | None:
        """Under what an answer is kept; None where the model is not known or the request has no canonical form."""
        if facts is None:
            return None
        try:
            parts = [facts.info, facts.versions, facts.threads, type(request).__name__, request]
            return hmac.digest(self._secret, canonical.encode(parts), "sha256")
        except ValueError:  # half a character, or NaN
            return None

    def get(self, key: bytes | None) -> Answer | None:
        """The answer under a key; None where there is none any more."""
        self.purge()
        with self._lock:
            found = self._kept.get(key) if key is not None else None
        return None if found is None else cast(Answer, unpack(found[1]))

    def put(self, key: bytes | None, answer: Answer) -> None:
        """Keep an answer, if it has a key and is not larger than a quarter of all that is kept."""
        if key is None or not self.seconds or not self.entries:
            return
        packed = pack(answer)
        if len(packed) > self.largest // 4:
            return
        with self._lock:
            self._drop(key)
            self._kept[key] = (time.monotonic(), packed)
            self._size += len(packed)
            while len(self._kept) > self.entries or self._size > self.largest:
                self._drop(next(iter(self._kept)))

    def purge(self, *, everything: bool = False) -> None:
        """Forget what is too old, or everything."""
        oldest = time.monotonic() - self.seconds
        with self._lock:
            while self._kept and (everything or next(iter(self._kept.values()))[0] <= oldest):
                self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        if key in self._kept:
            self._size -= len(self._kept.pop(key)[1])
