"""The Chromium or Chrome of this machine, driven by Playwright."""

import contextlib
import shutil
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

NONE = "no Chromium is installed: the page is not tested in a browser"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/usr/bin/chromium",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
]


def found():
    """The path of a browser; None where there is none."""
    on_path = (path for name in NAMES if (path := shutil.which(name)))
    return next(on_path, next((place for place in PLACES if Path(place).exists()), None))


@contextlib.contextmanager
def launched():
    """A browser with a profile of its own, for as long as a module's tests run."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found(), args=QUIET)
        yield browser
        browser.close()
