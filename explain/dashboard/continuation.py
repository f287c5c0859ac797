"""How a text goes on: the tokens that the model would write, each a button that explains it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from explain import bundled
from explain.alignment import Alignment, AlignRequest
from explain.dashboard import conversation, jobs, panels, privacy
from explain.dashboard.link import DECIDED, NOTHING
from explain.dashboard.progress import anew
from explain.generation import GenerateRequest, Generation
from explain.messages import parted
from explain.origin import WRITER as WRITER
from explain.plugins import LONGEST
from explain.records import Explanation
from explain.render import aligned, figures, html, written
from explain.render.pieces import visible

Told = tuple[tuple[str, ...], tuple[str, ...]]
"""Texts, and who wrote each where they are the messages of a conversation."""
TASK = "text-generation"
TOKENS, WRITTEN = 24, 48
"""Tokens that are written behind a text, and about one."""
WHOLE = "Explains the log-probability of all of it; without anything, the next token is explained."
AGAINST = "Another continuation: explains by how much the first one is likelier."
ABOUT = "The likeliest token each time. Choose one, and the text before it is explained, with it as the decision."
ALIGNED = "Every written token beside the words of the text that it was written from."
WRITES = (
    "The likeliest token each time. Choose one to see what speaks for it, in the text and in what is written before."
)

UNALIGNED = "Not measured while identifiers are masked: what the model wrote holds some."
MASKED = (
    "Identifiers are masked first, and what the model wrote holds some, which are shown by their kind. Tokens that are "
    "part of them, or explained with them, cannot be explained while masking is on: the masked text has others."
)


def followed(model: str) -> tuple[str | None, str | None]:
    """Draw the inputs for a whole continuation, and for what it is held against; None for what is not written."""
    known = bundled.card(model).task if bundled.is_bundled(model) else jobs.task(model)
    if known not in (TASK, WRITER):
        return None, None
    left, right = st.columns(2)
    what = "What may follow" if known == TASK else "What may be written"
    first = left.text_input(what, key="followed", max_chars=LONGEST, help=WHOLE)
    second = right.text_input("instead of", key="instead", max_chars=LONGEST, help=AGAINST, disabled=not first.strip())
    return first.strip() or None, (second.strip() or None) if first.strip() else None


def continuation(explanation: Explanation, model: str, *, running: bool) -> None:
    """Offer to go on with the text where the model says what comes next, and to step through what it wrote."""
    if explanation.model.task != TASK:
        return
    state, told = st.session_state, _told(explanation)
    texts, roles = told
    st.html(html.heading("How the conversation goes on" if roles else "How the text goes on", ABOUT))
    found, place = state.get("written"), _place(state.get("written"), explanation)
    if place is None and state.get("written_for") == told and not running:
        talk = GenerateRequest("", TOKENS, texts=texts, roles=roles)
        found = state.written = _answered(talk if roles else GenerateRequest(texts[0], TOKENS), model)
        place = _place(found, explanation)
    if found is None or place is None:
        if found is not None and (found.texts or (found.prompt,)) == texts and not _able(found):
            st.caption(MASKED)  # it begins with an identifier
            _about(found)
        _offer(told, running=running)
        return
    _tokens(found, place if explanation.target.index == found.ids[place] else None)
    _steps(found, place)
    if place == _able(found)[-1]:
        _offer(told, running=running)
    _about(found)


def written_about(explanation: Explanation, model: str, *, running: bool) -> None:
    """What the model writes about the text: a translation or a summary, whose tokens are what can be explained."""
    if explanation.model.task != WRITER:
        return
    st.html(html.heading("What the model writes", WRITES))
    if running:
        st.caption("Follows once the explanation is done.")
        return
    found = _answered(GenerateRequest(explanation.tokens.texts[0], WRITTEN, truncate=True), model)
    if found is None:
        _again("write again")
        return
    _tokens(found, _chosen(found))
    _about(found)
    if len(found.ids):
        _alignment(found, model)


def _answered(question: GenerateRequest, model: str) -> Generation | None:
    found = panels.answered(question, model, "Writing…")
    return found if isinstance(found, Generation) else None


def _tokens(found: Generation, chosen: int | None) -> None:
    """A button for each token that can be explained; what stands before it is read as the model wrote it."""
    key, names = f"written {found.digest[:12]}", written.numbered([visible(piece) for piece in found.pieces])
    able = _able(found)
    st.session_state[key] = chosen
    st.pills(
        "Tokens that the model would write",
        able,
        key=key,
        format_func=lambda i: html.markdown(names[i]),  # which must differ: by it the browser says what was chosen
        on_change=lambda: _show(found, st.session_state[key]),
        label_visibility="collapsed",
    )
    if len(able) < len(found.explainable):
        st.caption(MASKED)


def _able(found: Generation) -> tuple[int, ...]:
    """Tokens that can be asked about. Masking one, or what is before it, would ask about another, so it is left out."""
    kept: dict[tuple[str, ...], bool] = {}  # what stands apart is asked about with nearly all tokens
    texts = {i: _before(found, i)[0] for i in found.explainable}
    for one in texts.values():
        if one not in kept:
            kept[one] = privacy.keeps(one)
    hidden = _marks(found)
    return tuple(i for i, one in texts.items() if kept[one] and hidden[i] is None)


def _marks(found: Generation) -> tuple[str | None, ...]:
    """What is shown in place of each written token that is a part of an identifier; None for the others."""
    return privacy.marks(found.prefix(0), found.pieces)


def _before(found: Generation, place: int) -> Told:
    """What is asked about for a token that can be: the texts, and who wrote them."""
    return parted((found.question(place) or {})["text"])


def _told(explanation: Explanation) -> Told:
    """What was explained: the text before a token, or the conversation."""
    tokens = explanation.tokens
    return tokens.texts if tokens.roles else tokens.texts[:1], tokens.roles


def _about(found: Generation) -> None:
    st.caption(html.markdown(written.summary(found)))
    shown = tuple(mark or piece for mark, piece in zip(_marks(found), found.pieces, strict=True))
    with st.expander("Every token with its probability"):
        rows = written.rows(replace(found, pieces=shown))
        st.html(html.table(("token", "written", "log p", "probability", "place"), rows))


def _alignment(found: Generation, model: str) -> None:
    """Which words of the text each written token hangs on: measured when a person asks, a pass for each word."""
    state, texts = st.session_state, (found.question(0) or {}).get("text")
    if not isinstance(texts, tuple):  # what is written is not read as the same tokens again
        return
    title = st.empty()
    title.html(html.heading("What each written token hangs on", ALIGNED))
    if not privacy.keeps(texts):
        st.caption(UNALIGNED)
        return
    if state.get("aligned_for") != found.prompt:
        about = "Asks the model once for each word, of the text and of what is written, with that word replaced."
        wish = {"aligned_for": found.prompt}
        st.button("Align", key="align", help=about, on_click=state.update, args=(wish,))
        return
    measured = panels.answered(AlignRequest(texts, truncate=True), model, "Aligning…")
    if not isinstance(measured, Alignment):
        _again("align again")
        return
    title.html(html.heading("What each written token hangs on", aligned.summary(measured)))
    st.plotly_chart(
        figures.alignment_heatmap(measured), width="stretch", key="aligned", config=panels.config("aligned")
    )
    st.caption(html.markdown(aligned.meaning(measured)))
    with st.expander("The same numbers as a table"):
        st.html(html.table(("token", "written", "log-odds", "words that speak for it"), aligned.rows(measured)))


def _chosen(found: Generation) -> int | None:
    """The token that is explained now, where it stands in what was written about the text."""
    state = st.session_state
    asked = state.get("place_for") == found.prompt and found.apart
    return state.get("place") if asked and state.get("place") in _able(found) else None


def _place(found: object, explanation: Explanation) -> int | None:
    """Which token of what was written stands behind the explained text; None where none does."""
    if not isinstance(found, Generation) or found.model.weights_sha256 != explanation.model.weights_sha256:
        return None
    return {_before(found, i): i for i in _able(found)}.get(_told(explanation))


def _again(key: str) -> None:
    """A button that asks once more, as everything does that draws this part of the page anew."""
    st.button("Try again", key=key)


def _offer(told: Told, *, running: bool) -> None:
    wish = {"written_for": told, "written": None}
    st.button("Write on", key="write", disabled=running, on_click=st.session_state.update, args=(wish,))


def _steps(found: Generation, place: int) -> None:
    """To the token before this one and behind it, of those that can be explained."""
    able = _able(found)
    at = able.index(place)
    before, after = able[at - 1] if at else None, able[at + 1] if at + 1 < len(able) else None
    back, on, where = st.columns([1, 1, 2], vertical_alignment="center")
    for column, label, key, other in ((back, "Previous token", "P", before), (on, "Next token", "N", after)):
        column.button(
            label, key=f"step {key}", shortcut=key, disabled=other is None, width="stretch", on_click=_show,
            args=(found, other),
        )  # fmt: skip
    where.caption(f"{at + 1} of {len(able)}: this text, and the token that the model wrote behind it.")


def _show(found: Generation, place: int | None) -> None:
    """Explain a token. What stands behind a text is what the model decides there, since it took the likeliest."""
    asked = found.question(place) if place is not None else None
    if place is None or asked is None:
        return
    texts, roles = _before(found, place)
    about: dict[str, object] = {"followed": "", "instead": ""}
    if roles:
        conversation.begin(zip(roles, texts, strict=True))
    else:
        about["text"] = texts[0]
    if found.apart:
        text, pair = found.prompt, "".join(texts[1:])
        about |= {"pair": pair, "wrote": pair, "pair_for": text, "place": asked.get("place"), "place_for": text}
    anew(**about, target=DECIDED, contrast=NOTHING)
