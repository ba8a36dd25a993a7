"""The page in a real browser, against a server that does as the test wishes."""

import math
import time

import pytest

from charlm.evaluation.colours import DARK, LIGHT
from tests.serving.chromium import NONE, expect, found, launched
from tests.serving.fake_server import STORY, Fake, Wishes, nats

pytestmark = pytest.mark.skipif(found() is None, reason=NONE)

LEFT_OPEN = "net::ERR_"  # what Chromium says of a connection that the test broke


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def running():
    fake = Fake()
    yield fake
    fake.stop()


@pytest.fixture
def server(running):
    running.wishes = Wishes()
    return running


@pytest.fixture
def visit(browser, server):
    """Open the page; it may ask nobody else, and the browser may have nothing to complain of."""
    contexts, complaints, asked = [], [], []

    def visit(path="", **options):
        small = {"viewport": {"width": 900, "height": 500}, "reduced_motion": "reduce"}
        context = browser.new_context(**small | options)  # a small one is drawn quickly
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.complaints = complaints
        page.goto(server.address + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith((server.address, "data:"))] == []
    assert complaints == []


def offered(page):
    """The words that are offered, when the answer is there."""
    return page.locator("#list:not(.stale) [role=option] .word")


def write(page, text):
    page.locator("#box").press_sequentially(text)


def value(page):
    return page.locator("#box").input_value()


def surprise(page, text):
    page.get_by_role("tab", name="Surprise").click()
    page.locator("#paste").evaluate("(area, text) => { area.value = text; }", text)
    page.get_by_role("button", name="Colour it").click()
    expect(page.locator("#halt")).to_be_hidden()
    return page.locator("#text span")


def test_typing_shows_words_with_their_probabilities_and_tab_takes_the_first(visit):
    page = visit()
    write(page, "a the")
    expect(offered(page)).to_have_text(["the", "then", "there"])
    expect(page.get_by_role("option").first).to_contain_text("40 %")
    write(page, "re")
    expect(offered(page)).to_have_text(["there"])
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(offered(page)).to_have_count(3)
    page.keyboard.press("Backspace")
    expect(page.locator("#ghost")).to_have_text("e")
    page.keyboard.press("Tab")
    assert value(page) == "a the "
    expect(page.locator("#box")).to_be_focused()
    write(page, ",")
    assert value(page) == "a the,"  # a comma goes before the space that came with the word


def test_arrows_digits_enter_and_clicks_take_another_and_escape_hides(visit):
    page = visit()
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_contain_text("then")
    expect(page.locator("#box")).to_have_attribute("aria-activedescendant", "offer-1")
    expect(page.locator("#ghost")).to_have_text("en")
    page.keyboard.press("Enter")
    assert value(page) == "then "
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")
    assert value(page) == "then there "
    write(page, "exp")
    expect(offered(page)).to_have_count(2)
    page.get_by_role("option").nth(1).click()
    assert value(page) == "then there expert "
    expect(page.locator("#saved")).to_contain_text("keystrokes saved")
    write(page, "2 th")  # outside the list a digit is a digit
    expect(offered(page)).to_have_count(3)
    page.keyboard.press("Escape")
    expect(offered(page)).to_have_count(0)
    page.keyboard.press("Tab")
    assert value(page) == "then there expert 2 th"
    expect(page.locator("#box")).not_to_be_focused()


def test_an_answer_that_comes_too_late_is_dropped(visit, server):
    page = visit()
    server.wishes.delay = 0.3
    write(page, "exp")
    time.sleep(0.1)  # it is asked, and waits
    server.wishes.delay = 0.0
    page.keyboard.press("Control+a")
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    time.sleep(0.4)
    expect(offered(page)).to_have_text(["the", "then", "there"])


def test_text_that_looks_like_html_is_text(visit):
    page = visit()
    page.locator("#box").fill("<img src=x onerror=alert(1)> th")
    expect(page.locator("#ghost")).to_have_text("e")
    assert "<img" in page.locator("#mirror").text_content()
    spans = surprise(page, "<b>bold</b> &amp; <script>alert(1)</script>")
    expect(spans.first).to_be_visible()
    assert page.locator("#text").text_content() == "<b>bold</b> &amp; <script>alert(1)</script>"
    assert page.locator("#text b, #text script, #mirror img").count() == 0


def test_a_story_streams_is_marked_and_kept_or_undone(visit, server):
    page = visit()
    server.wishes.pause = 0.02
    write(page, "So:")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#draft")).to_contain_text("Once")
    assert value(page) == "So:"  # not before it is kept
    expect(page.get_by_role("button", name="Keep")).to_be_visible()
    expect(page.locator("#draft")).to_have_text(STORY)
    page.keyboard.press("Escape")
    assert value(page) == "So:"
    page.locator("#temperature").fill("0.5")
    page.locator("#seed").fill("7")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Keep").click()
    assert value(page) == "So:" + STORY
    page.keyboard.press("Control+z")
    assert value(page) == "So:"  # the browser's own undo
    asked = [body for path, body in server.wishes.asked if path == "/v1/completions"]
    assert asked[1]["temperature"] == 0.5 and asked[1]["seed"] == 7 and asked[1]["stream"]
    assert asked[0]["prompt"] == "So:"


def test_stop_stops_the_server_too_and_typing_on_keeps_what_came(visit, server):
    page = visit()
    server.wishes.pause = 0.1
    write(page, "So:")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#draft")).to_contain_text("Once")
    page.get_by_role("button", name="Stop").click()
    kept = page.locator("#draft").text_content()
    assert STORY.startswith(kept) and len(kept) < len(STORY)
    page.locator("#box").press("x")
    assert value(page) == f"So:{kept}x"
    deadline = time.monotonic() + 5
    while server.wishes.open and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.wishes.open == 0


@pytest.mark.parametrize("scheme, ramp", [("light", LIGHT), ("dark", DARK)])
def test_surprise_colours_a_text_by_its_bits(visit, scheme, ramp):
    page = visit("#surprise", color_scheme=scheme)
    text = "The cat sat on the mat.\nIncomprehensibilities, 👨‍👩‍👧 é, שלום\n"
    spans = surprise(page, text)
    assert page.locator("#text").text_content() == text
    hardest = spans.filter(has_text="Incomprehensibilities")
    expect(hardest).to_have_class("b6")
    red, green, blue = (int(ramp[5][at : at + 2], 16) for at in (1, 3, 5))
    expect(hardest).to_have_css("background-color", f"rgb({red}, {green}, {blue})")
    expect(page.locator("#numbers")).to_contain_text("bits per byte")
    expect(page.locator("#scale li")).to_have_count(7)
    hardest.hover()
    expect(page.locator("#here")).to_contain_text(
        f"{nats('Incomprehensibilities') / math.log(2):.2f}"
    )
    expect(page.locator("#here li").first).to_contain_text("the")
    expect(page.locator("#cut")).to_have_text(
        "The first token is not counted: nothing stands before it."
    )


def test_surprise_is_read_with_the_keyboard(visit):
    page = visit("#surprise")
    page.locator("#paste").fill("The cat sat incomprehensibly on mats.")
    page.locator("#paste").press("Control+Enter")
    page.locator("#text span").first.wait_for()
    page.locator("#text").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#here")).to_contain_text("cat")
    page.keyboard.press("n")
    expect(page.locator("#here")).to_contain_text("incomprehensibly")
    page.keyboard.press("p")
    expect(page.locator(".now")).to_have_text(" incomprehensibly")


def test_a_text_over_the_limit_is_read_in_parts_or_cut_and_the_page_says_so(visit, server):
    page = visit()
    surprise(page, ("word" * 25 + "\n") * 774)
    expect(page.locator("#cut")).to_contain_text("Only the first 60,000 of 78,174 characters")
    server.wishes.limit = 2500  # less than the page thinks
    server.wishes.asked.clear()
    text = "The cat sat on the mat, and the dog did not. " * 150
    surprise(page, text)
    assert page.locator("#text").text_content() == text
    expect(page.locator("#cut")).to_contain_text("parts")
    prompts = [body["prompt"] for path, body in server.wishes.asked if "prompt" in body]
    assert max(len(prompt) for prompt in prompts[1:]) <= 2500
    assert all("400" in each for each in page.complaints)
    page.complaints.clear()


def test_a_long_paste_goes_on_being_editable_and_only_its_end_is_sent(visit, server):
    page = visit()
    page.locator("#box").fill("0123456789abcde " * 60_000)
    began = time.monotonic()
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    assert time.monotonic() - began < 10
    texts = [body["text"] for path, body in server.wishes.asked if path == "/v1/suggest"]
    assert 2000 < len(texts[-1]) <= 4000 and texts[-1].endswith("abcde th")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#draft")).to_have_text(STORY)
    page.keyboard.press("Tab")
    assert value(page).endswith("abcde th" + STORY)


def test_a_server_that_is_gone_is_told_and_missed_no_more_when_it_is_back(visit, server):
    page = visit()
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    server.stop()
    try:
        write(page, "e")
        expect(page.locator("#notice")).to_contain_text("The server does not answer")
        assert value(page) == "the"
        write(page, "re")
    finally:
        server.start()
    expect(offered(page)).to_have_text(["there"])
    expect(page.locator("#notice")).to_be_hidden()
    assert page.complaints and all(LEFT_OPEN in each for each in page.complaints)
    page.complaints.clear()


def test_a_stream_that_breaks_leaves_what_came(visit, server):
    page = visit()
    server.wishes.break_after, server.wishes.pause = 3, 0.05
    write(page, "So:")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#go-told")).to_contain_text("connection was lost")
    kept = page.locator("#draft").text_content()
    assert len(kept) > 3 and STORY.startswith(kept)
    page.keyboard.press("Tab")
    assert value(page) == "So:" + kept
    assert all(LEFT_OPEN in each for each in page.complaints)
    page.complaints.clear()


def test_a_key_is_asked_for_kept_in_the_tab_and_used(visit, server):
    server.wishes.key = "secret"
    page = visit()
    expect(page.locator("#door")).to_contain_text("this server asks for its key")
    for wrong in ("schlüssel", "wrong"):
        page.get_by_label("Key", exact=True).fill(wrong)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#door")).to_be_visible()
    page.get_by_label("Key", exact=True).fill("secret")
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_have_text("fake")
    expect(page.locator("#door")).to_be_hidden()
    page.reload()
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    assert page.evaluate("localStorage.length") == 0
    assert all("401" in each for each in page.complaints)
    page.complaints.clear()


def test_a_busy_server_is_asked_again_and_an_error_is_told_in_its_words(visit, server):
    page = visit()
    expect(offered(page)).to_have_count(5)
    server.wishes.busy = 1
    write(page, "t")
    expect(page.locator("#notice")).to_contain_text("busy (the queue is full)")
    expect(offered(page)).to_have_count(3)
    expect(page.locator("#notice")).to_be_hidden()
    server.wishes.failure = "the model's file is <gone>"
    write(page, "h")
    expect(page.locator("#list-told")).to_have_text("the model's file is <gone>")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#go-told")).to_have_text("the model's file is <gone>")
    server.wishes.failure = ""
    write(page, "en")
    expect(offered(page)).to_have_text(["then"])
    expect(page.locator("#list-told")).to_be_hidden()
    assert all("429" in each or "500" in each for each in page.complaints)
    page.complaints.clear()


def test_everything_is_within_reach_of_the_keyboard(visit):
    page = visit()
    expect(page.locator("#box")).to_be_focused()
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:6] == ["temperature", "top-p", "length", "seed", "go", "SUMMARY"]
    page.locator("#tab-write").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Surprise")).to_be_visible()
    expect(page.locator("#tab-surprise")).to_be_focused()
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "2px"  # the focus is to be seen


def test_an_input_method_has_its_tab_and_enter_to_itself(visit):
    page = visit()
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    for key in ("Tab", "Enter"):
        taken = page.locator("#box").evaluate(
            "(box, key) => !box.dispatchEvent(new KeyboardEvent('keydown',"
            "{key, isComposing: true, cancelable: true, bubbles: true}))",
            key,
        )
        assert not taken
    assert value(page) == "th"


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_cut_off_on_a_screen_of_any_width(visit, width):
    page = visit(viewport={"width": width, "height": 700})
    write(page, "th")
    expect(offered(page)).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    surprise(page, "A word " * 30 + "x" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_mirror_has_the_lines_of_the_text(visit):
    page = visit(viewport={"width": 390, "height": 700})
    text = "Words that wrap, " * 40 + "\n\n\ttabbed  spaces \n" + "long" * 60 + "\n"
    page.locator("#box").fill(text)
    box, mirror = (page.locator(name).bounding_box() for name in ("#box", "#mirror"))
    assert box == mirror
    assert page.locator("#box").evaluate("box => box.scrollHeight - box.clientHeight") <= 1
