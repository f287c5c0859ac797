"""Texts to begin with. A link carries an example's name, never a person's text."""

from __future__ import annotations

_LONG = (
    "The first hour follows a retired cartographer who redraws the coast of her childhood, and it is patient, quiet "
    "and lovely. Then her brother arrives with a plan to sell the house, and the film forgets what it was good at. "
)

EXAMPLES: dict[str, str] = {
    "Clear": "A stirring, funny film that earns every one of its tears.",
    "Negated": "I can't say that I didn't enjoy it, but it was never as good as its trailer.",
    "Mixed": "The acting is superb, yet the plot is a tedious and predictable mess.",
    "Sarcastic": "Oh great, another three-hour film about a sad robot. Just what the world needed.",
    "Too long": (_LONG * 16).strip(),
}
FIRST = "Clear"
