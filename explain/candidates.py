"""Labels of a person's own: what a zero-shot classification chooses among, and how each label becomes a sentence.

A model of natural language inference says whether a text entails a second one. So each label is written into a
template, and the model is asked whether the text entails that hypothesis (Yin, Hay & Roth 2019, arXiv:1909.00161).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explain.errors import InputError
from explain.record import Record

TEMPLATE = "This example is {}."
MOST, LONGEST = 100, 1_000
"""Labels of one question, each of which costs a pass; and characters of a label or a template."""
NAMES = ("candidate_labels", "multi_label", "hypothesis_template")
"""What people write, as the Hub names it."""


@dataclass(frozen=True, eq=False)
class Candidates(Record):
    """`labels` to choose among; `template` holds {} where a label goes. `multi`: each label is judged by itself."""

    labels: tuple[str, ...]
    multi: bool = False
    template: str = TEMPLATE

    @property
    def apart(self) -> bool:
        """Whether each label is judged by itself; so is one that has no other beside it."""
        return self.multi or len(self.labels) == 1

    @property
    def passes(self) -> int:
        """How many passes one question about a label takes: one of its own, or one for each it is compared with."""
        return 1 if self.apart else len(self.labels)

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """The sentence of each label."""
        return tuple(self.template.replace("{}", label) for label in self.labels)


def candidates(
    candidate_labels: str | Sequence[str] | None = None,
    multi_label: bool | None = None,
    hypothesis_template: str | None = None,
) -> Candidates | None:
    """The labels that somebody wrote; None where there are none.

    Args:
        candidate_labels: the labels, or one string with commas between them.
        multi_label: judge each label by itself, so that none or several may fit.
        hypothesis_template: a sentence with {} where a label goes; None for the Hub's.

    Raises:
        InputError: as `require`; or how to judge was said, and no label.
    """
    if candidate_labels is None:
        if multi_label or hypothesis_template is not None:
            raise InputError("Give candidate_labels: there is nothing to choose among.", code="no_candidates")
        return None
    labels = candidate_labels.split(",") if isinstance(candidate_labels, str) else candidate_labels
    if not all(isinstance(label, str) for label in labels):
        raise InputError("Expected candidate_labels as texts.", code="bad_candidates")
    template = TEMPLATE if hypothesis_template is None else hypothesis_template
    found = Candidates(tuple(label.strip() for label in labels), bool(multi_label), template)
    require(found)
    return found


def folded(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a request with the three names that people write folded into one; raises as `candidates`."""
    rest = {name: value for name, value in options.items() if name not in NAMES}
    written = candidates(*(options.get(name) for name in NAMES))
    return rest if written is None else {**rest, "candidates": written}


def require(asked: Candidates) -> None:
    """Raise InputError for what nobody can choose among: no label, one twice, too many or too long, no place for it."""
    labels, template = asked.labels, asked.template
    if not 1 <= len(labels) <= MOST or not all(label.strip() for label in labels):
        raise InputError(
            f"Expected 1 to {MOST} candidate labels, none of them empty; got {len(labels)}.", code="bad_candidates"
        )
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise InputError(f"The candidate label '{twice[:80]}' stands there twice.", code="bad_candidates")
    if max(len(template), *map(len, labels)) > LONGEST:
        raise InputError(f"Candidate labels and template may have {LONGEST:,} characters each.", code="bad_candidates")
    if "{}" not in template:
        raise InputError(
            f"The hypothesis template has no {{}} where the label goes. Write it as in: {TEMPLATE}", code="bad_template"
        )


def sides(labels: Sequence[str]) -> tuple[int, int] | None:
    """Which outputs of a model of inference say 'entailed' and 'contradicted'; None where no label says so.

    As the Hub's pipeline takes them: entailment by its name, contradiction as the first label, or the last where
    entailment is the first; but a label that calls itself a contradiction is taken for one wherever it stands.
    """
    names = [label.lower() for label in labels]
    entailed = next((i for i, name in enumerate(names) if name.startswith("entail")), None)
    if entailed is None or len(names) < 2:
        return None
    named = next((i for i, name in enumerate(names) if name.startswith("contradict")), None)
    return entailed, named if named is not None else len(names) - 1 if entailed == 0 else 0
