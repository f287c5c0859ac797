"""Texts to begin with. A link carries an example's name, never a person's text."""

from __future__ import annotations

from explain import bundled

_LONG = (
    "The first hour follows a retired cartographer who redraws the coast of her childhood, and it is patient, quiet "
    "and lovely. Then her brother arrives with a plan to sell the house, and the film forgets what it was good at. "
)

BY_TASK: dict[str, dict[str, str]] = {
    "text-classification": {
        "Clear": "A stirring, funny film that earns every one of its tears.",
        "Negated": "I can't say that I didn't enjoy it, but it was never as good as its trailer.",
        "Mixed": "The acting is superb, yet the plot is a tedious and predictable mess.",
        "Sarcastic": "Oh great, another three-hour film about a sad robot. Just what the world needed.",
        "Too long": (_LONG * 16).strip(),
    },
    "zero-shot-classification": {
        "Request": "My phone has been dead since Monday, and I need it for work. Please call me back today!",
        "News": "The central bank raised interest rates again, and shares fell all over Europe.",
        "Feeling": "I waited two hours for the doctor, but he took all the time I needed.",
    },
    "fill-mask": {
        "Capital": "The capital of France is [MASK].",
        "Person": "The nurse said that [MASK] would be back in an hour.",
        "Season": "It had snowed all night, so the children built a [MASK] man in the garden.",
        "Opposite": "The elder sister was proud and ugly, but the younger was kind and [MASK].",
    },
    "token-classification": {
        "People": "Angela Merkel met Emmanuel Macron in Paris before she flew home to Berlin.",
        "Company": "Apple opened a new office in Cork, where Mary Robinson once bought apples.",
        "Ambiguous": "Washington signed the law in Washington, and the Washington Post wrote about it.",
        "Grammar": "The old man the boats while the young watch the waves and wave.",
    },
    "question-answering": {
        "Where": "Where does the river end?",
        "Who": "Who found the gold?",
        "When": "When did the museum open?",
    },
    "text2text-generation": {
        "Translate": "translate English to German: The house is small, but its garden is large and wild.",
        "Summarise": "summarize: The old station closed in 1968 and stood empty for years. In 1991 a museum opened in "
        "its hall, and since then more than two million people have come to see the trains.",
        "Idiom": "translate English to French: It rained cats and dogs, so we stayed at home.",
    },
    "text-generation": {
        "Beginning": "Once upon a time there was a",
        "Name": 'The youngest brother was called Hans. "Tell me your name," said the king. "My name is',
        "Opposites": "The elder sister was proud and ugly, but the younger sister was kind and",
        "Repeated": "The fox ran over the bridge to the mill. The fox ran over the bridge to the",
    },
}
LABELS = {
    "Request": "urgent; not urgent; praise",
    "News": "economy; politics; sport; health",
    "Feeling": "grateful; annoyed",
}
"""What an example's text is held against, where a person's own labels are asked for."""
CONTEXTS = {
    "Where": "The river rises in the hills near Alba, flows past two old mills and ends in the lake of Corra.",
    "Who": "Anna dug for three years without luck. Her brother Tom found the gold on his very first morning.",
    "When": "The old station closed in 1968. It stood empty until 1991, when the museum opened in its hall.",
}
"""What an example's question is about."""
EXAMPLES = {name: text for texts in BY_TASK.values() for name, text in texts.items()}
FIRST = "Clear"


def of(model: str, task: str | None = None) -> list[str]:
    """Names of the examples that suit a model: those of its task, where that is known, else those of classifiers."""
    known = bundled.card(model).task if bundled.is_bundled(model) else task
    return list(BY_TASK.get(known or "", BY_TASK["text-classification"]))
