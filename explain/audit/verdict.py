"""What a verification says: levels in words, what is wrong and where, and the exit code it ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explain.record import Record

EXITS = {"V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7}
"""Exit code of the command line when a level fails; the lowest level that fails decides."""
WORDS = {
    "V1": (
        "Nothing in the record or its files is changed, and the signature is by a key that is believed",
        "Something in the record or its files is changed, or the signature is by no key that is believed",
        "Whether bytes and signatures are those that were filed",
    ),
    "V2": (
        "No record is missing, doubled, moved or cut off the end",
        "A record is missing, doubled, moved or cut off the end",
        "Whether every record is there, in its order",
    ),
    "V3": (
        "A time-stamp authority confirms the time",
        "The time-stamp authority does not confirm the time",
        "Whether a time-stamp authority confirms the time",
    ),
    "V4": (
        "The model's files at hand are the ones that the record names",
        "The model's files at hand are not the ones that the record names",
        "Whether the model's files at hand are the ones that the record names",
    ),
    "V5": (
        "Computing again gives the same numbers",
        "Computing again gives other numbers",
        "Whether computing again gives the same numbers",
    ),
}
"""What a level says where it holds, where it is broken, and where it was not checked."""


def words(level: str, found: str) -> str:
    """A level in words; `found` is holds, broken or not checked."""
    return WORDS[level][("holds", "broken", "not checked").index(found)]


@dataclass(frozen=True, eq=False)
class Fault(Record):
    """What is wrong, at which level and where: a sequence number, a record id, a file's name."""

    level: str
    where: str
    what: str


@dataclass(frozen=True, eq=False)
class Verdict(Record):
    """What a verification found. `checked` are records looked at; `levels` maps levels to holds, broken or not checked.

    `signed_by` are fingerprints of the keys that signed, `unsigned` how many records nobody signed, `erased` how many
    have lost their content on purpose, `uncovered` how many stand behind the newest checkpoint, so that a cut of
    those would not be found.
    """

    checked: int
    levels: Mapping[str, str]
    faults: tuple[Fault, ...]
    signed_by: tuple[str, ...] = ()
    unsigned: int = 0
    erased: int = 0
    uncovered: int = 0
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or the code of the lowest level that is broken."""
        return min((EXITS[f.level] for f in self.faults), default=0)

    @property
    def summary(self) -> str:
        """What was looked at, and who signed it: whole fingerprints, since that is what people compare."""
        records = "1 record" if self.checked == 1 else f"{self.checked:,} records"
        said = f"{records}, {self.erased:,} erased, signed by {', '.join(self.signed_by) or 'nobody'}."
        if self.unsigned:
            said += f" {self.unsigned:,} UNSIGNED."
        if self.uncovered:
            said += f" Behind the newest checkpoint: {self.uncovered:,}; a cut of these would not show."
        return said


NOBODY = "NOBODY SIGNED this: its bytes fit together, and whoever wrote them could have written others."


def judged(
    faults: Sequence[Fault],
    levels: tuple[str, ...],
    notes: Sequence[str] = (),
    *,
    checked: int,
    unsigned: int,
    **rest: Any,
) -> Verdict:
    """A verdict on what was looked at: `levels` hold unless a fault breaks them; V1 of what nobody signed cannot."""
    broken = {f.level for f in faults}
    if not checked:
        levels, notes = (), (*notes, "There is no record here, so nothing was checked.")
    if unsigned == checked > 0:
        levels, notes = tuple(v for v in levels if v != "V1"), (*notes, NOBODY)
    found = {v: "broken" if v in broken else "holds" if v in levels else "not checked" for v in WORDS}
    return Verdict(checked, found, tuple(faults), unsigned=unsigned, notes=tuple(notes), **rest)
