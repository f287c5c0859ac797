"""Who looks at a page, and what they may do on it: `keys.DOORS` says which role an action takes, as for REST."""

from __future__ import annotations

from functools import cache

import streamlit as st

from explain.errors import AccessError
from explain.keys import DOORS, Action
from explain.login import ANYBODY_HERE, NOBODY, Login, Person, configured
from explain.settings import settings


@cache
def login() -> Login | None:
    """The login of this process; None if none is configured. Raises InputError if half of one is."""
    return configured(settings())


def person() -> Person:
    """Who looks at this page. Asked at every action, since a sign-in ends while its page is open."""
    here = login()
    return ANYBODY_HERE if here is None else here.person(st.user.to_dict()) or NOBODY


def may(action: Action) -> bool:
    """Whether who looks may do this; for what a page shows, never instead of `require`."""
    return person().may(action)


def require(action: Action) -> None:
    """Raises AccessError (code unauthorized or forbidden) unless who looks may do this."""
    who = person()
    if not who.signed_in:
        raise AccessError("Your sign-in is over. Load the page again to sign in.", code="unauthorized")
    if not who.may(action):
        roles = " and ".join(sorted(who.roles)) or "none"
        raise AccessError(f"To {action} takes the role {DOORS[action]}, and yours is {roles}.")
