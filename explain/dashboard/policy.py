"""The content security policy of our pages, with the digests of the scripts that Streamlit writes into its page."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

from explain.guard import PAGE_POLICY

_INLINE = re.compile(rb"<script>(.*?)</script>", re.S)


def page_policy() -> str:
    """`PAGE_POLICY`, and the inline scripts of this Streamlit's index.html by their SHA-256: no others run."""
    spec = find_spec("streamlit")
    page = Path(str(spec and spec.origin)).parent / "static" / "index.html"
    scripts = _INLINE.findall(page.read_bytes()) if page.is_file() else []
    digests = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(s).digest()).decode()}'" for s in scripts)
    return PAGE_POLICY.replace("script-src 'self'", f"script-src 'self'{digests}")
