"""Which pages there are, and who sees which: nobody who is not signed in, where a login is configured."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import streamlit as st

from explain.dashboard import access
from explain.keys import Action

SCREENS = Path(__file__).resolve().parent / "screens"
"""Not `pages`: Streamlit takes a folder of that name beside the script for an older kind of navigation."""
SIGN_IN = SCREENS / "sign_in_page.py"


class Listed(NamedTuple):
    """One page: its script, its title, its address, and what one must be allowed to do to see it at all."""

    file: str
    title: str
    path: str
    takes: Action


PAGES = (
    Listed("explain_page.py", "Explain", "explain", "see lists"),
    Listed("attention_page.py", "Attention", "attention", "see lists"),
    Listed("inside_page.py", "Inside", "inside", "see lists"),
    Listed("evidence_page.py", "Evidence", "evidence", "read evidence"),
)


def current() -> st.Page:
    """The page of this run. Who may see none gets the sign-in page at every address, so that no address is unknown."""
    seen = [page for page in PAGES if access.may(page.takes)]
    found = [
        st.Page(
            SCREENS / page.file if seen else SIGN_IN,
            title=page.title if seen else "Sign in",
            url_path=page.path,
            default=page is PAGES[0],
        )
        for page in seen or PAGES
    ]
    return st.navigation(found, position="sidebar" if seen else "hidden")
