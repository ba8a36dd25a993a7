"""The page as it is served: one file, a policy that lets in its own script alone, one palette."""

import base64
import hashlib
import re

from charlm.evaluation import colours
from charlm.serving.page import page

CONTENT, POLICY = page()
SOURCE = CONTENT.decode()
RULES = dict(rule.split(" ", 1) for rule in POLICY.split("; "))


def test_the_policy_lets_in_the_pages_own_style_and_script_and_nothing_else():
    assert RULES["default-src"] == RULES["base-uri"] == RULES["frame-ancestors"] == "'none'"
    assert RULES["connect-src"] == "'self'"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        (content,) = re.findall(f"<{tag}[^>]*>(.*?)</{tag}>", SOURCE, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert RULES[name] == f"'sha256-{digest}'"


def test_nothing_on_it_comes_from_outside():
    assert not re.search(r"\bsrc=|@import|url\(|\bon[a-z]+=|\sstyle=", SOURCE)
    addresses = re.findall(r"https?://[^\s'\"]+", SOURCE)
    assert addresses == ["http://www.w3.org/2000/svg"]  # a name, not an address that is asked
    assert re.findall(r'href="([a-z]*:)', SOURCE) == ["data:"]


def test_no_text_becomes_html():
    words = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    )
    assert not re.search(words, SOURCE)
    assert RULES["require-trusted-types-for"] == "'script'"


def test_a_header_can_hold_the_policy():
    assert POLICY.isascii() and POLICY.isprintable()


def test_a_file_with_windows_line_ends_has_the_hash_that_a_browser_takes(tmp_path, monkeypatch):
    (tmp_path / "page.html").write_bytes(CONTENT.replace(b"\n", b"\r\n"))
    monkeypatch.setattr("charlm.serving.page.resources.files", lambda package: tmp_path)
    assert page.__wrapped__() == (CONTENT, POLICY)


def test_surprise_has_the_colours_and_limits_of_the_page_of_eval():
    light, dark = re.findall(r":root\{(.*?)\}", SOURCE, re.DOTALL)
    for block, name in ((light, "LIGHT"), (dark, "DARK")):
        found = tuple(re.findall(r"--b[1-6]:(#\w{6})", block))
        assert found == getattr(colours, name)
        assert f"--page:{getattr(colours, f'{name}_PAGE')}" in block
        assert f"--text:{getattr(colours, f'{name}_TEXT')}" in block
    (limits,) = re.findall(r"LIMITS = \[(.*?)\]", SOURCE)
    assert tuple(float(limit) for limit in limits.split(",")) == colours.LIMITS


def test_text_stands_out_from_what_it_stands_on():
    for block in re.findall(r":root\{(.*?)\}", SOURCE, re.DOTALL):
        colour = dict(re.findall(r"--([\w-]+):(#\w{6})", block))
        for ground in ("page", "ground"):
            for ink in ("text", "faint", "accent"):
                assert contrast(colour[ink], colour[ground]) >= 4.5, (ink, ground)
            assert contrast(colour["ghost"], colour[ground]) >= 3  # it is not there yet
        assert contrast(colour["text"], colour["mark"]) >= 4.5


def contrast(one, other):
    """WCAG 2's ratio of relative luminances."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
