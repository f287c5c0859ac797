"""Structured identifiers: a pattern finds a candidate, a checksum decides where the type has one.

Sources: ISO 13616 (IBAN, mod 97), ISO/IEC 7812 (Luhn), SSA's rules for numbers never given out, HMRC's for NINO, the
control characters of the Spanish DNI/NIE, the Italian codice fiscale's pattern, the French NIR (mod 97), the Dutch
elfproef, the Swedish and Danish dates, the Polish PESEL weights, the German tax number (ISO 7064 mod 11,10).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

Recogniser = Callable[[str], Iterator[tuple[int, int]]]

_EMAIL = re.compile(r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_][\w-]{1,24}(?![\w-])")
_DIGITS = re.compile(r"(?<![\w])\d(?:[ .-]?\d){10,22}(?![\w])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ ./-]?(?:\(0\)[ ./-]?)?|00\d{1,3}[ ./-]?|\(\+?\d{1,5}\)[ ./-]?|0\d{1,5}[ ./-]?"
    r"|\d{3}[ .-])"
    r"(?:\(?\d{1,5}\)?[ ./-]?){1,5}\d{2,5}(?:[ ]?(?:x|ext\.?)[ ]?\d{1,5})?(?![\w])",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])")
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])")
_NINO = re.compile(
    r"(?<!\w)(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)",
    re.IGNORECASE,
)
_DNI = re.compile(r"(?<!\w)([XYZxyz]?)-?(\d{7,8})[ -]?([A-Za-z])(?!\w)")
_FISCALE = re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)", re.IGNORECASE)
_NIR = re.compile(r"(?<!\w)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)", re.IGNORECASE)
_ELEVEN = re.compile(r"(?<![\w.+-])\d(?:[ ]?\d){8,10}(?![\w-]|\.\d)")
_NORDIC = re.compile(r"(?<![\w-])(?:\d{2})?\d{6}[-+]\d{4}(?![\w-])")
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def emails(text: str) -> Iterator[tuple[int, int]]:
    """E-mail addresses, internationalised ones too."""
    return (m.span() for m in _EMAIL.finditer(text))


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """IBANs, with or without spaces, whose remainder by 97 is 1; what follows a whole one is left out."""
    for found in _IBAN.finditer(text):
        whole = found.group()
        for end in range(len(whole), 14, -1):
            plain = re.sub(r"[ -]", "", whole[:end]).upper()
            if whole[end - 1].isalnum() and 15 <= len(plain) <= 34 and _mod97(plain):
                yield found.start(), found.start() + end
                break


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Payment cards: 12 to 19 digits that pass Luhn's test."""
    for found in _DIGITS.finditer(text):
        digits = re.sub(r"\D", "", found.group())
        if 12 <= len(digits) <= 19 and digits[0] in "23456" and luhn(digits):
            yield found.span()


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Telephone numbers: 7 to 15 digits that begin with +, 00, 0, an area code in brackets, or three digits."""
    for found in _PHONE.finditer(text):
        digits = len(re.sub(r"\D", "", found.group().lower().split("x")[0].split("ext")[0]))
        if 7 <= digits <= 15 and not _is_address(found.group()):
            yield found.span()


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """IP addresses of both versions, and MAC addresses."""
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            value = found.group()
            if _is_address(value) and (pattern is _IPV4 or value.count(":") >= 2):
                yield found.span()
    for found in _MAC.finditer(text):
        yield found.span()


def national_ids(text: str) -> Iterator[tuple[int, int]]:
    """National identity, tax and insurance numbers: US, GB, ES, IT, FR, NL, PL, DE, SE, FI, DK."""
    for pattern in (_SSN, _NINO, _FISCALE, _NORDIC):
        yield from (m.span() for m in pattern.finditer(text))
    for found in _DNI.finditer(text):
        prefix, digits, letter = found.groups()
        number = ("XYZ".index(prefix.upper()) if prefix else 0) * 10**7 + int(digits)
        if len(digits) == (7 if prefix else 8) and _DNI_LETTERS[number % 23] == letter.upper():
            yield found.span()
    for found in _NIR.finditer(text):
        plain = found.group().replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
        if 97 - int(plain[:13]) % 97 == int(plain[13:]):
            yield found.span()
    for found in _ELEVEN.finditer(text):
        plain = found.group().replace(" ", "")
        if (len(plain) == 9 and _eleven(plain)) or (len(plain) == 11 and (_pesel(plain) or _tax_number(plain))):
            yield found.span()


RECOGNISERS: dict[str, Recogniser] = {
    "EMAIL": emails,
    "IBAN": ibans,
    "CARD": cards,
    "ID": national_ids,
    "IP": addresses,
    "PHONE": phones,
}
"""Kind → recogniser; where two find the same characters, the earlier one names them."""


def luhn(digits: str) -> bool:
    """Does the check digit of a card number fit?"""
    values = [int(d) for d in reversed(digits)]
    doubled = [v if i % 2 == 0 else (2 * v - 9 if v > 4 else 2 * v) for i, v in enumerate(values)]
    return sum(doubled) % 10 == 0


def _mod97(plain: str) -> bool:
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _eleven(digits: str) -> bool:
    """Dutch BSN: weights 9 to 2 and −1, a multiple of 11, and not all zeros."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return digits != "000000000" and sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 11 == 0


def _pesel(digits: str) -> bool:
    """Polish PESEL: weights 1, 3, 7, 9 repeated, and a month that exists."""
    total = sum(w * int(d) for w, d in zip((1, 3, 7, 9, 1, 3, 7, 9, 1, 3), digits, strict=False))
    return 1 <= int(digits[2:4]) % 20 <= 12 and (10 - total % 10) % 10 == int(digits[10])


def _tax_number(digits: str) -> bool:
    """German identification number: ISO 7064, mod 11,10."""
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return digits[0] != "0" and (11 - product) % 10 == int(digits[10])
