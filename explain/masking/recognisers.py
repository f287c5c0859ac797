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

_DOMAIN = re.compile(r"@ ?(?:[\w-]{1,63}\.)+[^\W\d_][\w-]{1,24}(?![\w-])")
_LOCAL = re.compile(r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]+$")
_DIGITS = re.compile(r"(?<!\d)\d(?:[ .-]?\d){11,}")
_IBAN = re.compile(r"[A-Za-z]{2}\d{2}")
_IBAN_LENGTH = {
    country: int(length)
    for length, countries in re.findall(
        r"(\d+)((?: [A-Z]{2})+)",
        "15 NO 16 BE 18 DK FI FK FO GL NL SD 19 MK SI 20 AT BA EE KZ LT LU MN XK 21 CH HR LI LV 22 BG BH CR DE GB GE "
        "IE ME RS VA 23 AE GI IL IQ OM SO TL 24 AD CZ ES MD PK RO SA SE SK TN VG 25 LY PT ST 26 IS TR 27 BI DJ FR GR "
        "IT MC MR SM 28 AL AZ BY CY DO GT HN HU LB NI PL SV 29 BR EG PS QA UA 30 JO KW MU YE 31 MT SC 32 LC 33 RU",
    )
    for country in countries.split()
}
"""Country → characters of its account numbers, from the registry of ISO 13616."""
_ALNUM = {n: re.compile(rf"(?:[ .-]?[A-Za-z0-9]){{{n - 4}}}") for n in set(_IBAN_LENGTH.values())}
_ALONE = r"(?<![^\W_])"  # no letter or digit stands directly before; an underscore may, as in card_4111
_PHONE = re.compile(
    r"(?<!\d)(?<!\d[.,/+-])(?:\+\d{1,3}[ ./-]?(?:\(0\)[ ./-]?)?"
    rf"|{_ALONE}(?:" + r"00\d{1,3}[ ./-]?|\(\+?\d{1,5}\)[ ./-]?|0\d{1,5}[ ./-]?|\d{3}[ .-]))"
    r"(?:\(?\d{1,5}\)?[ ./-]?){1,5}\d{2,5}(?:[ ]?(?:x|ext\.?)[ ]?\d{1,5})?(?![\w])",
    re.IGNORECASE,
)
_TEN = re.compile(_ALONE + r"(?<!\d[.,/+-])[2-9]\d\d[2-9]\d{6}(?!\w|[.,-]\d)")
_IPV4 = re.compile(_ALONE + r"(?<!\d\.)(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(_ALONE + r"[0-9A-Fa-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?(?!\w)")
_MAC = re.compile(
    _ALONE + r"(?<!\b[0-9A-Fa-f]{2}[:-])[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}"
    r"(?!\w|[:-][0-9A-Fa-f]{2}\b)"
)
_SSN = re.compile(_ALONE + r"(?<!\d-)(?!000|666|9\d\d)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?!\w|-\d)")
_NINO = re.compile(
    _ALONE + r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)",
    re.IGNORECASE,
)
_DNI = re.compile(_ALONE + r"([XYZxyz]?)-?(\d{7,8})[ -]?([A-Za-z])(?!\w)")
_FISCALE = re.compile(_ALONE + r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)", re.IGNORECASE)
_NIR = re.compile(_ALONE + r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\w)", re.IGNORECASE)
_ELEVEN = re.compile(_ALONE + r"(?<!\d[.+-])\d(?:[ ]?\d){8,10}(?![\w-]|\.\d)")
_NORDIC = re.compile(_ALONE + r"(?<!\d-)(?:\d{2})?\d{6}[-+]\d{4}(?!\w|-\d)")
_CARD = {"2": (16,), "3": (14, 15, 16), "4": (13, 16, 19), "5": (16,), "6": (16, 17, 18, 19)}
"""First digit of a card → how many digits such cards have."""
_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice a digit, and the sum of the two digits that this has
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def emails(text: str) -> Iterator[tuple[int, int]]:
    """E-mail addresses, internationalised ones too: what stands behind the @ decides, then as much as can before it."""
    for found in _DOMAIN.finditer(text):
        before = text[text.rfind("@", 0, found.start()) + 1 : found.start()]
        if local := _LOCAL.search(before):
            yield found.start() - len(local.group()), found.end()


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """IBANs of the length that their country has, with or without spaces, whose remainder by 97 is 1."""
    for found in _IBAN.finditer(text):
        length = _IBAN_LENGTH.get(found.group()[:2].upper())
        rest = _ALNUM[length].match(text, found.end()) if length else None
        if rest is not None and _mod97(found.group() + re.sub(r"[ .-]", "", rest.group())):
            yield found.start(), rest.end()


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Payment cards: 12 to 19 digits that pass Luhn's test; between other numbers, as many as its issuer's cards have.

    What stands beside a card is dates and counts, in short groups: a card's own have four digits or more, but for the
    last, unless its digits stand one by one.
    """
    for found in _DIGITS.finditer(text):
        groups = [(m.group(), *m.span()) for m in re.finditer(r"\d+", found.group())]
        for first, (head, start, _) in enumerate(groups):
            if head[0] not in _CARD:
                continue
            digits, sizes = "", list[int]()
            for group, _, end in groups[first : first + 19]:
                digits, sizes = digits + group, [*sizes, len(group)]
                if len(digits) > 19:
                    break
                whole = len(sizes) == len(groups) and len(digits) >= 12
                grouped = min(sizes[:-1], default=4) >= 4 or max(sizes) == 1
                if (whole or (grouped and len(digits) in _CARD[head[0]])) and luhn(digits):
                    yield found.start() + start, found.start() + end


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Telephone numbers: 7 to 15 digits that begin with +, 00, 0, an area code in brackets, or three digits.

    Ten digits in a row are one if North America's plan gives such numbers out.
    """
    for found in _PHONE.finditer(text):
        digits = len(re.sub(r"\D", "", found.group().lower().split("x")[0].split("ext")[0]))
        if 7 <= digits <= 15 and not _is_address(found.group()):
            yield found.span()
    yield from (m.span() for m in _TEN.finditer(text))


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """IP addresses of both versions, and MAC addresses."""
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            value, start = found.group(), found.start()
            for first, last in ((0, 0), (0, 1), (1, 0), (1, 1)):  # IP:2001:db8::1: has colons that are not its own
                part = value[first : len(value) - last]
                if _is_address(part) and (pattern is _IPV4 or part.count(":") >= 2):
                    yield start + first, start + first + len(part)
                    break
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
    doubled = digits[-2::-2].translate(_DOUBLED)
    return sum(map(int, digits[::-2] + doubled)) % 10 == 0


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
