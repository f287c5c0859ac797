"""Sign in: all that is shown to somebody whom nobody knows, or to whom no role was given."""

from explain.dashboard import signing

signing.ask()
