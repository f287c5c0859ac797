"""Synthetic texts with identifiers in them, from a seed. Run as a script to write tests/data/identifiers.jsonl anew.

The generator shares nothing with the recognisers: it writes numbers in the forms people use, and computes check digits
by itself. A third of the texts also hold look-alikes (dates, prices, versions, order numbers) that nobody should mask.
`FORMS` are the same identifiers as they come out of web pages and word processors, and with something beside them.
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


CARD_GROUPS, IBAN_GROUPS = "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"
GROUPED = {"CARD": CARD_GROUPS, "IBAN": IBAN_GROUPS, "PHONE": "+49 171 1234567", "ID": "123-45-6789"}
BETWEEN = {
    "no-break space": "\u00a0", "narrow space": "\u202f", "two spaces": "  ", "tab": "\t", "line break": "\n",
    "indented line": "\r\n    ", "en dash": "\u2013", "no-break hyphen": "\u2011", "minus": "\u2212",
    "soft hyphen": "\u00ad", "zero-width space": "\u200b", "joiner": "\u200d",
}  # fmt: skip
"""What stands between the groups of a number that was copied."""
UNSEEN = "\u00ad\u200b\u200d"
BESIDE = [
    ("CARD", "My card is {} 12/27", "4111111111111111"), ("CARD", "order 17 {}", "4111111111111111"),
    ("CARD", "paid with {} 2026-11-25", "4111111111111111"), ("CARD", "{} 123", CARD_GROUPS),
    ("CARD", "2026-11-25 {} 17", CARD_GROUPS), ("CARD", "card_{}", "4111111111111111"),
    ("CARD", "Nr{}", "4111111111111111"), ("IBAN", "IBAN{}", "DE89370400440532013000"),
    ("IBAN", "ref AB12 see {} 7", IBAN_GROUPS), ("ID", "SSN-{}", "123-45-6789"),
    ("PHONE", "Tel.{}", "0171 1234567"), ("PHONE", "Tel.{}", "+49 171 1234567"), ("PHONE", "mobile_{}", "01711234567"),
    ("PHONE", "Call {}", "2125551234"), ("IP", "IP:{}", "2001:db8::1"), ("IP", "host {}: not reachable", "2001:db8::1"),
    ("IP", "MAC:{}", "00:1a:2b:3c:4d:5e"), ("IP", "v.{}", "192.168.1.1"), ("IP", "ip_{}", "192.168.1.1"),
    ("IP", "{}:80", "192.168.1.1"),
]  # fmt: skip
"""Kind, what stands beside it, the identifier."""
WRITTEN = [
    ("CARD", "".join(chr(0xFF10 + int(d)) for d in "4111111111111111")),
    ("CARD", "".join(chr(0x660 + int(d)) for d in "4111111111111111")), ("CARD", "\u200d".join("4111111111111111")),
    ("IBAN", "".join(chr(ord(c) + 0xFEE0) for c in "DE89370400440532013000")),
    ("PHONE", "".join(chr(0xFF10 + int(d)) for d in "01711234567")),
    ("IP", "\uff11\uff19\uff12.168.1.1"), ("IP", "192.168\u200b.1.1"), ("EMAIL", "ada\u200d@example.org"),
    ("EMAIL", "ada@exam\u200bple.org"), ("EMAIL", "ada\uff20example.org"), ("EMAIL", "ada@\nexample.org"),
    ("EMAIL", "ada@exam\u00adple\u3002org"), ("EMAIL", "a" * 65 + "@example.org"),
]  # fmt: skip
FORMS: list[tuple[str, str, str]] = [
    *((kind, "on {} file", value.replace(" ", gap).replace("-", f"-{gap}" if gap in UNSEEN else gap))
      for gap in BETWEEN.values() for kind, value in GROUPED.items()),
    *BESIDE,
    *((kind, "on {} file", value) for kind, value in WRITTEN),
]  # fmt: skip
"""Kind, what stands beside it, and the identifier as somebody wrote it: masked whole, and nothing else with it."""


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
