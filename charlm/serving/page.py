"""The page at `/`: one file of HTML, and the policy that a browser is to hold it to."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources

_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
_SCRIPT = re.compile(rb"<script[^>]*>(.*?)</script>", re.DOTALL)


@cache
def page() -> tuple[bytes, str]:
    """Give the page in UTF-8, and the value of its Content-Security-Policy header.

    Only the page's own style and script are let in, by their SHA-256; it may ask no server but the
    one that it came from, nothing may frame it, and no text can become HTML in it (W3C: Content
    Security Policy Level 3; Trusted Types).
    """
    content = resources.files("charlm.serving").joinpath("page.html").read_bytes()
    content = content.replace(b"\r\n", b"\n")  # as a browser does before it takes the hash
    rules = (
        "default-src 'none'",
        f"style-src {_hashes(_STYLE, content)}",
        f"script-src {_hashes(_SCRIPT, content)}",
        "connect-src 'self'",
        "img-src data:",  # its icon
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return content, "; ".join(rules)


def _hashes(pattern: re.Pattern[bytes], content: bytes) -> str:
    digests = [hashlib.sha256(found).digest() for found in pattern.findall(content)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
