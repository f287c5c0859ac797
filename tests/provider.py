"""An OpenID provider on loopback: metadata, sign-in, tokens, keys. It signs in whoever a test names, at once.

`fault` makes the next ID token wrong in one way; what each one is stands in `_token`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

CLIENT, SECRET = "whyboard-tests", "canary-client-secret-5Qz"
FAULTS = (
    *(
        "signature",
        "key of its own",
        "unsigned",
        "symmetric",
        "audience",
        "audience of another, given to us",
        "nonce",
        "no nonce",
    ),
    *("issuer", "expired", "made long ago", "made tomorrow", "no token", "state"),
)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """One provider. `claims` is who signs in next, `issued` every secret that it gave out."""

    def __init__(self) -> None:
        self.key, self.other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self.claims: dict[str, Any] = {}
        self.fault = ""
        self.issued: list[str] = []
        self.signed_out = 0
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._get(self)

            def do_POST(self) -> None:
                provider._post(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.metadata_url = f"{self.address}/.well-known/openid-configuration"

    def person(self, subject: str, *groups: str, **more: Any) -> None:
        """Say who signs in next."""
        email = {"email": f"{subject}@example.org", "email_verified": True}
        self.claims, self.fault = {"sub": subject, "groups": list(groups), **email, **more}, ""

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys",
                    "end_session_endpoint": "out"}  # fmt: skip
            found = {name: f"{self.address}/{path}" for name, path in ends.items()}
            _json(handler, {"issuer": self.address, **found, "code_challenge_methods_supported": ["S256"],
                            "id_token_signing_alg_values_supported": ["RS256"]})  # fmt: skip
        elif parts.path == "/keys":
            _json(handler, {"keys": [{**_jwk(self.key), "kid": "1", "alg": "RS256", "use": "sig"}]})
        elif parts.path == "/authorize" and query.get("client_id") == CLIENT:
            code = secrets.token_urlsafe(24)
            self._codes[code] = query
            self.issued.append(code)
            state = query["state"] if self.fault != "state" else "another"
            _moved(handler, f"{query['redirect_uri']}?{urlencode({'code': code, 'state': state})}")
        elif parts.path == "/out":
            self.signed_out += 1
            _moved(handler, query["post_logout_redirect_uri"])
        else:
            handler.send_error(404)

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(sent).items()}
        named = base64.b64decode(handler.headers.get("Authorization", "Basic ").split(" ")[1]).decode()
        asked = self._codes.pop(form.get("code", ""), None)  # once
        proof = _encoded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        good = asked is not None and asked["redirect_uri"] == form.get("redirect_uri")
        if not good or unquote(named) != f"{CLIENT}:{SECRET}" or proof != (asked or {}).get("code_challenge"):
            handler.send_error(400)
            return
        assert asked is not None
        access, token = secrets.token_urlsafe(24), self._token(asked["nonce"])
        self.issued += [access, token]
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 3600}
        _json(handler, answer if self.fault == "no token" else {**answer, "id_token": token})

    def _token(self, nonce: str) -> str:
        now, fault = int(time.time()), self.fault
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 3600, "nonce": nonce, **self.claims}
        claims |= {
            "audience": {"aud": "another"},
            "audience of another, given to us": {"aud": "another", "azp": CLIENT},
            "nonce": {"nonce": "another"},
            "issuer": {"iss": "https://evil.example"},
            "expired": {"iat": now - 7200, "exp": now - 3600},
            "made long ago": {"iat": now - 9 * 3600},
            "made tomorrow": {"iat": now + 86_400, "exp": now + 90_000},
        }.get(fault, {})
        if fault == "no nonce":
            del claims["nonce"]
        kind = {"unsigned": "none", "symmetric": "HS256"}.get(fault, "RS256")
        header = {"alg": kind, "kid": "1"} if fault != "key of its own" else {"alg": kind, "jwk": _jwk(self.other)}
        body = ".".join(_encoded(json.dumps(x).encode()) for x in (header, claims)).encode()
        signed = b""
        if kind == "RS256":
            signed = (self.other if fault in FAULTS[:2] else self.key).sign(body, padding.PKCS1v15(), SHA256())
        elif kind == "HS256":
            signed = hmac.digest(SECRET.encode(), body, "sha256")
        return f"{body.decode()}.{_encoded(signed)}"


def _jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    n, e = (_encoded(x.to_bytes((x.bit_length() + 7) // 8)) for x in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": n, "e": e}


def _json(handler: BaseHTTPRequestHandler, value: Any) -> None:
    body = json.dumps(value).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _moved(handler: BaseHTTPRequestHandler, where: str) -> None:
    handler.send_response(302)
    handler.send_header("Location", where)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """A provider that runs until the end of the block."""
    found = Provider()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        found.server.server_close()
