"""A conversation as people give it: messages with a role and a content each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from explain.errors import InputError

ROLES = ("system", "developer", "user", "assistant", "tool")
"""Templates may make special tokens of a role's name, so no other names are put into one."""
MOST = 256
"""Messages of one conversation."""


Message = Mapping[str, str]
Text = str | tuple[str, str] | Sequence[Message]
"""One text, the two of a pair, or a conversation: [{"role": …, "content": …}, …]."""


def parted(text: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts of what a person asks about, and who wrote each of them: () where it is no conversation.

    Raises:
        InputError: as `require`, or it is none of these, or a message is not of this form.
    """
    if isinstance(text, str):
        return (text,), ()
    if isinstance(text, Mapping) or not isinstance(text, Iterable):
        raise InputError(
            f"Expected a text, two for a sentence pair, or a list of messages, got one {type(text).__name__}. Of one "
            "message give [message], of {'messages': […]} what stands under messages.",
            code="bad_text",
        )
    parts = tuple(text)
    if not any(isinstance(part, Mapping) for part in parts):
        return parts, ()
    for i, part in enumerate(parts, start=1):
        if not isinstance(part, Mapping) or set(part) != {"role", "content"}:
            raise InputError(
                f"Expected messages in the form {{'role': …, 'content': …}}; message {i} is none.", code="bad_messages"
            )
    texts, roles = tuple(part["content"] for part in parts), tuple(part["role"] for part in parts)
    require(texts, roles)
    return texts, roles


def plain(text: Any) -> tuple[str, ...]:
    """The text, or the two of a pair, for a question that nothing but these can be asked; raises InputError."""
    texts, roles = parted(text)
    if roles:
        raise InputError("Expected one text, or two for a sentence pair, and no conversation.", code="bad_messages")
    return texts


def whole(texts: tuple[str, ...], roles: tuple[str, ...]) -> Any:
    """What `parted` makes these texts and roles of."""
    if roles:
        return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    return texts[0] if len(texts) == 1 else texts


def answered(texts: tuple[str, ...], roles: tuple[str, ...], answer: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A conversation with what the assistant says next: behind its own words where the last message is its, else as a
    message. Without an answer, '', it is the conversation as it was.
    """
    if not answer:
        return texts, roles
    if roles[-1] == "assistant":
        return (*texts[:-1], texts[-1] + answer), roles
    return (*texts, answer), (*roles, "assistant")


def require(texts: Sequence[str], roles: Sequence[str]) -> None:
    """Raise InputError for what is no conversation: none or too many messages, an unknown role, an empty message."""
    if not 1 <= len(texts) <= MOST or len(texts) != len(roles):
        raise InputError(f"Expected 1 to {MOST} messages with a role each, got {len(texts)}.", code="bad_messages")
    for i, (text, role) in enumerate(zip(texts, roles, strict=True), start=1):
        if role not in ROLES:
            raise InputError(
                f"Message {i} is of the role '{str(role)[:40]}'; there are: {', '.join(ROLES)}.", code="bad_messages"
            )
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"Message {i} is empty or no text. Write it, or leave the message out.", code="bad_messages"
            )
