"""Synthetic texts with identifiers in them, from a seed. Run as a script to write tests/data/identifiers.jsonl anew.

The generator shares nothing with the recognisers: it writes numbers in the forms people use, and computes check digits
by itself. A third of the texts also hold look-alikes (dates, prices, versions, order numbers) that nobody should mask.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent / "data" / "identifiers.jsonl"
COUNT, SEED = 500, 20261125
FIRST = ["ana", "li.wei", "o'neil", "j_doe", "marta+news", "kofi", "søren", "x", "per-erik", "first.last"]
HOSTS = ["example.org", "mail.example.com", "firma.de", "uni-köln.example", "a.b.example.co.uk", "post.example.fr"]
FRAMES = [
    "Please write to {} before Friday.",
    "My details: {}.",
    "I called twice ({}) and nobody answered.",
    "{} is what I was given",
    "Refund it to {}, thanks!",
    "The ticket says: {}; is that right?",
    "Hello,\n{}\nKind regards",
    "contact={} status=open",
    "Why do you still have {} on file?",
    "I lost it. {} Could you check?",
]
LOOKALIKES = [
    "It cost 1,299.95 on 2026-03-14.",
    "Version 10.4.2 came out in 2025.",
    "Order 84731 has 12 items.",
    "Meet at 10:45, room 3.12.",
    "It holds 5000 mAh and weighs 1.240 kg.",
    "See §12, page 2301.",
    "Scores were 3-1, 2-2 and 0-4.",
    "He was born in 1987.",
]


def digits(rng: random.Random, n: int) -> str:
    return "".join(str(rng.randrange(10)) for _ in range(n))


def email(rng: random.Random) -> str:
    return f"{rng.choice(FIRST)}{rng.choice(['', str(rng.randrange(99))])}@{rng.choice(HOSTS)}"


def card(rng: random.Random) -> str:
    start, length = rng.choice([("4", 16), ("51", 16), ("34", 15), ("6011", 16), ("2221", 16)])
    body = start + digits(rng, length - len(start) - 1)
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    whole = body + str(-total % 10)
    gap = rng.choice(["", " ", "-"])
    groups = [whole[:4], whole[4:10], whole[10:]] if length == 15 else [whole[i : i + 4] for i in range(0, 16, 4)]
    return gap.join(groups)


def iban(rng: random.Random) -> str:
    country, shape = rng.choice(
        [("DE", "n18"), ("GB", "a4n14"), ("FR", "n23"), ("NL", "a4n10"), ("NO", "n11"), ("MT", "a4n5a18")]
    )
    bban, kind, run = "", "", ""
    for c in shape + "n":
        if c.isalpha():
            if run:
                pool = "ABCDEFGHJKLM" if kind == "a" else "0123456789"
                bban += "".join(rng.choice(pool) for _ in range(int(run)))
            kind, run = c, ""
        else:
            run += c
    value = "".join(str("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".index(c)) for c in bban + country + "00")
    whole = f"{country}{98 - int(value) % 97:02d}{bban}"
    return " ".join(whole[i : i + 4] for i in range(0, len(whole), 4)) if rng.random() < 0.6 else whole


def phone(rng: random.Random) -> str:
    n = lambda k: digits(rng, k)  # noqa: E731
    return rng.choice(
        [
            f"+1 {rng.randrange(200, 999)}-{n(3)}-{n(4)}", f"({rng.randrange(200, 999)}) {n(3)}-{n(4)}",
            f"+44 20 {rng.randrange(7000, 8999)} {n(4)}", f"020 7{n(3)} {n(4)}", f"+49 (0)30 {n(3)}{n(4)}",
            f"0171/{n(7)}", f"+33 6 {n(2)} {n(2)} {n(2)} {n(2)}", f"06 {n(2)} {n(2)} {n(2)} {n(2)}",
            f"{rng.randrange(200, 999)}.{n(3)}.{n(4)}", f"0041 44 {n(3)} {n(2)} {n(2)}", f"+81-3-{n(4)}-{n(4)}",
            f"{rng.randrange(200, 999)}-{n(3)}-{n(4)} ext. {n(3)}",
        ]
    )  # fmt: skip


def address(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return ".".join(str(rng.randrange(1, 255)) for _ in range(4))
    if rng.random() < 0.5:
        return "2001:db8:" + ":".join(f"{rng.randrange(65536):x}" for _ in range(6))
    return f"fe80::{rng.randrange(1, 65536):x}:{rng.randrange(65536):x}"


def national(rng: random.Random) -> str:
    kind = rng.randrange(7)
    if kind == 0:
        return f"{rng.randrange(1, 665):03d}-{rng.randrange(1, 99):02d}-{rng.randrange(1, 9999):04d}"
    if kind == 1:
        gap = rng.choice(["", " "])
        return gap.join(
            [rng.choice(["AB", "CE", "JM", "PX"]), digits(rng, 2), digits(rng, 2), digits(rng, 2), rng.choice("ABCD")]
        )
    if kind == 2:
        number = rng.randrange(10**7, 10**8)
        return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"
    if kind == 3:
        body = f"{rng.randrange(20, 99)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}{digits(rng, 4)}"
        return body + str(-sum(w * int(d) for w, d in zip([1, 3, 7, 9] * 3, body, strict=False)) % 10)
    if kind == 4:
        while True:
            body = digits(rng, 8)
            check = sum(w * int(d) for w, d in zip(range(9, 1, -1), body, strict=True)) % 11
            if check < 10 and body[0] != "0":
                return body + str(check)
    if kind == 5:
        born = f"{rng.choice('12')}{rng.randrange(40, 99)}{rng.randrange(1, 13):02d}"
        body = f"{born}{rng.randrange(1, 95):02d}{digits(rng, 6)}"
        return f"{body}{97 - int(body) % 97:02d}"
    return f"{rng.randrange(40, 99)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}-{digits(rng, 4)}"


KINDS: dict[str, Callable[[random.Random], str]] = {
    "EMAIL": email, "CARD": card, "IBAN": iban, "PHONE": phone, "IP": address, "ID": national,
}  # fmt: skip


def made(seed: int = SEED, count: int = COUNT) -> list[dict[str, Any]]:
    """Texts with the spans of what is in them: (start, end, kind)."""
    rng, found = random.Random(seed), []
    for i in range(count):
        text, spans = "", []
        for kind in rng.sample(list(KINDS), rng.choice([1, 1, 2])):
            before, after = rng.choice(FRAMES).split("{}")
            value = KINDS[kind](rng)
            start = len(text) + len(before)
            spans.append([start, start + len(value), kind])
            text += before + value + after + " "
        if i % 3 == 0:
            text += rng.choice(LOOKALIKES)
        found.append({"text": text.strip(" "), "spans": spans})
    return found


if __name__ == "__main__":
    FILE.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in made()), "utf-8")
