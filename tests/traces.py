"""Looks for what should be gone: a text, its words and tokens, in every form in which bytes might still hold them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import numpy as np

from explain.records import Explanation

SHORTEST = 5
"""Letters of the shortest word that is looked for: shorter ones stand in random bytes by chance."""


def secrets_of(found: Explanation) -> list[str | bytes]:
    """What must not be left of an explanation: texts, their words, tokens, and ids and offsets, which are the text."""
    tokens, whole = found.tokens, " ".join(found.tokens.texts)
    words = {word.strip('.,!?"<>“”&') for word in whole.split()}
    words |= {string.removeprefix("##") for string in tokens.strings}
    numbers = (tokens.ids.astype(t).tobytes() for t in (np.int32, np.int64))
    lists = (json.dumps(a.tolist(), separators=s) for a in (tokens.ids, tokens.offsets) for s in ((",", ":"), None))
    return [*tokens.texts, *sorted(w for w in words if len(w) >= SHORTEST), *numbers, *(x[1:-1] for x in lists)]


def forms(secret: str | bytes) -> Iterator[bytes]:
    """The bytes of a secret as UTF-8 and UTF-16, in hexadecimal, base64 at each of its offsets, JSON, HTML and URLs."""
    if isinstance(secret, bytes):
        plain = [secret]
    else:
        plain = [secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be")]
        escaped = json.dumps(secret)[1:-1]
        yield from (escaped.encode(), json.dumps(escaped)[1:-1].encode(), html.escape(secret).encode())
        yield from (quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode())
    for data in plain:
        yield from (data, data.hex().encode(), data.hex().upper().encode())
        for ahead in range(3):  # base64 looks different for each place in the bytes around it
            whole = base64.b64encode(bytes(ahead) + data).rstrip(b"=")
            inside = whole[(ahead * 8 + 5) // 6 : -1 if (ahead + len(data)) % 3 else None]  # the ends mix with others
            yield from (inside, inside.translate(bytes.maketrans(b"+/", b"-_")))


def left(places: Iterable[Path], secrets: Iterable[str | bytes]) -> list[str]:
    """Where something of the secrets is, in the bytes and names of all files below these folders."""
    needles = {form for secret in secrets for form in forms(secret)}
    both = needles | {needle.lower() for needle in needles}
    found = []
    for place in places:
        for path in place.rglob("*"):
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            seen = b"\n".join([str(path.relative_to(place)).encode(), data, data.lower()])
            found += [f"{path}: {needle[:40]!r}" for needle in both if needle in seen]
    return found
