"""Who is signed in to the pages, as an OpenID provider says, and with which roles: none unless a rule gives them.

What comes here are the claims of an ID token whose signature, issuer, audience, nonce and time were verified when the
person came back from the provider; since then they lay in a signed cookie. What only a program of our own can know is
judged at each look: that the token was made for us, that the sign-in is not too old, and that nobody signed out of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from explain.errors import InputError
from explain.guard import LOCAL
from explain.keys import DOORS, MAY, ROLES, Action, Role
from explain.settings import Settings

CALLBACK = "/oauth2callback"
"""Where the provider sends a person back; Streamlit listens there."""
NEEDED = ("login_metadata_url", "login_client_id", "login_client_secret", "login_redirect_uri")
AHEAD = 120.0
"""Seconds by which the provider's clock may be ahead of ours."""
LONGEST = 200
"""Characters of a name, and of how it is known, that are kept: as many as a record holds."""


@dataclass(frozen=True)
class Person:
    """Whoever looks at a page. `name` is None where nobody was asked for one; `auth` says how it is known."""

    name: str | None
    auth: str
    roles: frozenset[Role]
    signed_in: bool = True

    def may(self, action: Action) -> bool:
        """Whether one of the roles opens what this action takes."""
        return any(DOORS[action] in MAY[role] for role in self.roles)


ANYBODY_HERE = Person(None, "not authenticated", frozenset({"admin"}))
"""Where no login is configured: whoever uses this machine, since nobody else can connect."""
NOBODY = Person(None, "not signed in", frozenset(), signed_in=False)


class Login:
    """The sign-in of one process: its provider, its rules, and a secret of its own under which cookies are signed.

    The secret is not kept, so a restart asks everybody to sign in again; and so no list of those who signed out is.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._secret = secrets.token_urlsafe(32)
        self._left: dict[str, float] = {}
        self._lock = Lock()

    @property
    def host(self) -> str:
        """The name under which browsers find the pages."""
        return str(urlsplit(self.settings.login_redirect_uri).hostname)

    @property
    def provider(self) -> str:
        """The name of the provider's machine."""
        return str(urlsplit(self.settings.login_metadata_url).hostname)

    @property
    def encrypted(self) -> bool:
        """Whether browsers reach the pages by https only."""
        return self.settings.login_redirect_uri.startswith("https:")

    def secrets(self) -> dict[str, Any]:
        """What Streamlit wants to know, in the form of its secrets."""
        given = self.settings
        return {
            "auth": {
                "redirect_uri": given.login_redirect_uri,
                "cookie_secret": self._secret,
                "client_id": given.login_client_id,
                "client_secret": given.login_client_secret.get_secret_value(),
                "server_metadata_url": given.login_metadata_url,
                "client_kwargs": {"scope": given.login_scope},
            }
        }

    def person(self, claims: Mapping[str, Any]) -> Person | None:
        """Who these verified claims name; None if nobody, if the sign-in is over, or if it was for another program."""
        subject, nonce, made = claims.get("sub"), claims.get("nonce"), claims.get("iat")
        if claims.get("is_logged_in") is not True or not (_said(subject) and _said(nonce)):
            return None
        if isinstance(made, bool) or not isinstance(made, int | float) or not self._meant_for_us(claims):
            return None
        if not -AHEAD <= time.time() - made < self.settings.login_hours * 3_600 or nonce in self._left:
            return None
        name = _verified_email(claims) or str(subject)
        auth = f"OpenID Connect, {claims.get('iss')}, subject {subject}"
        return Person(name[:LONGEST], auth[:LONGEST], frozenset(self._roles(claims)))

    def leave(self, claims: Mapping[str, Any]) -> None:
        """Sign out: from now on nobody is let in by these claims, in whichever tab and by whatever copy of a cookie."""
        if self.person(claims) is None:
            return
        now, keep = time.time(), self.settings.login_hours * 3_600 + AHEAD
        with self._lock:
            self._left = {nonce: at for nonce, at in self._left.items() if now - at < keep} | {claims["nonce"]: now}

    def _meant_for_us(self, claims: Mapping[str, Any]) -> bool:
        """A token for several programs must also say that it was given to us (OpenID Connect Core 1.0, 3.1.3.7)."""
        audience, us = claims.get("aud"), self.settings.login_client_id
        several = audience if isinstance(audience, list) else [audience]
        return us in several and claims.get("azp", us if len(several) == 1 else None) == us

    def _roles(self, claims: Mapping[str, Any]) -> Iterator[Role]:
        given = self.settings
        found = _claim(claims, given.login_roles_claim)
        for value in found if isinstance(found, list) else [found]:
            if isinstance(value, str) and value in given.login_roles:
                yield given.login_roles[value]  # type: ignore[misc]
        if email := _verified_email(claims):
            domain = email[email.rindex("@") :]
            for rule, role in given.login_emails.items():
                if rule.lower() in (email, domain):
                    yield role  # type: ignore[misc]


def configured(settings: Settings) -> Login | None:
    """The login that the settings describe; None if they describe none.

    Raises:
        InputError: they describe half of one, or one that would send secrets in the clear; code `bad_login`.
    """
    values = {name: getattr(settings, name) for name in NEEDED}
    values["login_client_secret"] = settings.login_client_secret.get_secret_value()
    if not any(values.values()) and not settings.login_roles and not settings.login_emails:
        return None
    if missing := [f"EXPLAIN_{name.upper()}" for name, value in values.items() if not value]:
        raise _bad(f"A login is configured in part; {', '.join(missing)} must be set too, or nothing of it.")
    for name in ("login_metadata_url", "login_redirect_uri"):
        if not _safe(values[name]):
            raise _bad(f"EXPLAIN_{name.upper()} must begin with https://, or with http:// on this machine.")
    if urlsplit(settings.login_redirect_uri).path != CALLBACK:
        raise _bad(f"EXPLAIN_LOGIN_REDIRECT_URI must end with the path {CALLBACK}, such as https://HOST{CALLBACK}.")
    rules = [*settings.login_roles.values(), *settings.login_emails.values()]
    if strange := sorted(set(rules) - set(ROLES)):
        raise _bad(f"Expected roles of {', '.join(ROLES)} in EXPLAIN_LOGIN_ROLES and _EMAILS, got '{strange[0][:40]}'.")
    if not rules:
        raise _bad("Nobody could sign in: give roles in EXPLAIN_LOGIN_ROLES or EXPLAIN_LOGIN_EMAILS.")
    if bad := next((rule for rule in settings.login_emails if "@" not in rule), None):
        raise _bad(f"Expected an address or an @domain in EXPLAIN_LOGIN_EMAILS, got '{bad[:40]}'.")
    if "openid" not in settings.login_scope.split():
        raise _bad("EXPLAIN_LOGIN_SCOPE must name openid: without it there is no ID token to verify.")
    return Login(settings)


def _bad(sentence: str) -> InputError:
    return InputError(sentence, code="bad_login")


def _said(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _safe(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL))


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """The e-mail address, if the provider says that it is the person's: others may let people type any."""
    email = claims.get("email")
    good = isinstance(email, str) and "@" in email and claims.get("email_verified") in (True, "true")
    return str(email).lower() if good else None


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the way to it (`realm_access.roles`); None if there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
