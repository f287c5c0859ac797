"""Signing in and out: the page that asks for it, and the line that says who is there."""

from __future__ import annotations

import streamlit as st

from explain.dashboard import access
from explain.render import html


def ask() -> None:
    """The sign-in page. Whoever is signed in without a role is told whom to ask."""
    here, who = access.login(), access.person()
    assert here is not None  # without a login everybody sees the pages
    with st.container(key="sign-in", border=True):
        if who.signed_in:
            said = f"You are signed in as {who.name}, but nobody has given you a role here. Ask whoever runs this page."
            st.html(html.heading("No role yet", said))
            return
        over = "Your sign-in is over. " if st.user.get("is_logged_in") else ""
        st.html(html.heading("Sign in", f"{over}What models decided, and why, is shown to people with a role here."))
        if st.button("Sign in", type="primary", width="stretch", key="login"):
            st.login()
        st.caption(html.markdown(f"{here.provider} asks who you are and sends you back. Your password stays there."))


def bar() -> None:
    """Who is signed in, and the way out; nothing where nobody is."""
    who = access.person()
    if who.name is None:
        return
    with st.sidebar.container(key="signed-in"):
        roles = f" · {', '.join(sorted(who.roles))}" if who.roles else ""
        st.caption(html.markdown(f"{who.name}{roles}"))
        if st.button("Sign out", width="stretch", key="logout"):
            st.logout()
