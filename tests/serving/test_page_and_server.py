"""The page with the server that it belongs to, in a browser: every route, and the key."""

import pytest

from tests.serving.chromium import NONE, expect, found, launched

pytest.importorskip("charlm.serving.app", reason="the server is not here yet")
pytestmark = pytest.mark.skipif(found() is None, reason=NONE)

KEY = "a-key-for-tests"
TEXT = "the cat sat on the mat, and the dog sat too.\n"


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.mark.parametrize("key", [None, KEY])
def test_the_page_writes_continues_and_colours_with_its_server(browser, key):
    from tests.serving.running import running

    password = {"http_credentials": {"username": "me", "password": key}} if key else {}
    with running(key=key.encode() if key else None) as server:
        page = browser.new_page(**password)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.address)
        expect(page.locator("#model")).to_have_text("tiny")
        page.locator("#box").press_sequentially("the c")
        expect(page.locator("#list:not(.stale) [role=option]").first).to_be_visible()
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("button", name="Keep")).to_be_visible()
        written = page.locator("#draft").text_content()
        page.keyboard.press("Tab")
        assert written and page.locator("#box").input_value() == "the c" + written
        page.get_by_role("tab", name="Surprise").click()
        page.locator("#paste").fill(TEXT)
        page.locator("#paste").press("Control+Enter")
        expect(page.locator("#numbers")).to_contain_text("bits per byte")
        assert page.locator("#text").text_content() == TEXT
        page.locator("#length").evaluate("field => field.max = 10000")  # the server refuses it
        page.get_by_role("tab", name="Write").click()
        page.locator("#length").fill("5000")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#go-told")).to_contain_text("max_tokens")
        assert [each for each in complaints if "400" not in each] == []
        page.close()
