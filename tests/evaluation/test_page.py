"""The page of surprise: the text as it was, nothing from outside, every character whole."""

import base64
import hashlib
import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.evaluation import colours
from charlm.evaluation import page as pages
from charlm.evaluation.characters import units
from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.tokens import TokenScore
from tests.pictures import Reader

ODD = (
    "<b>&amp; \"q\" 'x' <script>alert(1)</script></main><!-- \r\nCRLF\r\n\ttab  two\n\n"
    "ESC:\x1b[31m DEL:\x7f NEL:\x85 \x0c\x0b nbsp:\xa0 \u2028 \ufeff\n"
    "שלום (עולם) \u202eRLO\u202c 👨‍👩‍👧 e\u0301 日本語 &#13; ]]> end"
)


def token(piece, bits=1.0, rank=3, entropy=2.0, confidence=0.5):
    return TokenScore(piece, bits * math.log(2), entropy * math.log(2), rank, confidence)


def evaluation(tokens, **values):
    facts = {"documents": 1, "bytes": 10, "characters": 10, "words": 2, "lines": 1}
    return Evaluation(**facts | {"unknown_tokens": 0, "nats": 7.0, "lossless": True} | values,
                      tokens=tokens)  # fmt: skip


def made(scores, model="model", text="text.txt", **values):
    known = sum(score is not None for score in scores)
    facts = evaluation(values.pop("tokens", known), **values)
    return b"".join(pages.page(scores, facts, model, text)).decode()


def read(scores, **values):
    return Reader(made(scores, **values))


def test_the_text_stands_on_the_page_as_it_was():
    found = read([token(character.encode()) for character in ODD])
    assert "".join(found.text) == ODD
    assert len(found.tokens) == len(ODD)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.data())
def test_any_text_cut_anywhere_reads_the_same(text, data):
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)))))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    scores = [token(piece) for piece in pieces]
    found = read(scores)
    assert "".join(found.text) == text.replace("\0", "")  # HTML has no place for it
    joined = [unit for unit in units(scores) if unit is not None]
    assert "".join(unit.text for unit in joined) == text
    assert [score for unit in joined for score in unit.tokens] == scores


def test_a_nul_is_marked():
    assert "<u data-c=NUL></u>" in made([token(b"a\0b")])


def test_pieces_of_one_character_become_one():
    euro = "€".encode()
    scores = [token(b"a"), token(euro[:1], 2.0, 4), token(euro[1:2], 3.0, 5), token(euro[2:], 4.0)]
    found = read(scores)
    assert [text for _, text in found.tokens] == ["a", "€"]
    title = found.tokens[1][0]["title"]
    assert title == "9.00 bits in 3 tokens, ranks 4, 5, 3, entropies 2.00, 2.00, 2.00 bits"
    assert found.tokens[1][0]["class"] == "b5"


def test_bytes_that_are_no_utf8_do_not_pile_up():
    joined = [unit for unit in units(token(b"\xc3") for _ in range(1000)) if unit]
    assert len(joined) == 1000 and {unit.text for unit in joined} == {"\ufffd"}
    joined = [unit for unit in units([token(b"\xff"), token(b"\xe2"), token(b"a")]) if unit]
    assert [unit.text for unit in joined] == ["\ufffd", "\ufffda"]


def test_a_document_that_ends_in_half_a_character_takes_nothing_from_the_next():
    found = read([token(b"a\xc3"), None, token(b"\xa9b"), None])
    assert "".join(found.text) == "a\ufffd\ufffdb"
    assert sum(values.get("class") == "next" for _, values in found.all) == 1


def test_a_title_tells_bits_rank_and_entropy():
    values, text = read([token(b" word", 5.234, 1234, 3.1)]).tokens[0]
    assert text == " word"
    assert values["title"] == "5.23 bits, rank 1,234, entropy 3.10 bits"


@pytest.mark.parametrize(
    "bits, kind",
    [(0.0, 0), (0.49, 0), (0.5, 1), (1.5, 2), (3.9, 3), (4.1, 4), (9, 5), (99, 6), (math.inf, 6)],
)
def test_the_colour_is_that_of_the_bits(bits, kind):
    assert read([token(b"a", bits)]).tokens[0][0]["class"] == f"b{kind}"


def test_nothing_is_asked_from_outside_and_nothing_foreign_runs():
    source = made([token(b"<img src=http://x.example/a.png onerror=alert(1)>")])
    found = Reader(source)
    for tag, values in found.all:
        assert tag not in ("img", "link", "iframe", "object", "base", "form")
        assert not {"src", "style", "srcset", "action"} & set(values)
        assert not [name for name in values if name.startswith("on")]
        assert values.get("href", "#").startswith("#")
    assert "url(" not in source and "@import" not in source
    rules = dict(rule.strip().split(" ", 1) for rule in found.policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", source, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"


def test_names_are_text_too():
    source = made([token(b"a")], model="<i>m\u202e", text="a&b\n.txt")
    assert "<i>" not in source and "\u202e" not in source
    assert Reader(source).title == "a&b\\n.txt, as read by <i>m\\u202e"


def test_the_summary_is_that_of_the_evaluation():
    source = made([token(b"a", rank=1), token(b"b", rank=2)], nats=8 * math.log(2), bytes=4)
    for row in ("bits per byte<dd>2.0000", "tokens<dd>2", "first guess right<dd>50.0%"):
        assert row in source
    assert "class=cut" not in source
    assert "bits per byte" not in made([token(b"a")], lossless=False)


def test_a_text_too_long_is_cut_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(pages, "MOST_TOKENS", 10)
    asked = []

    def scores():
        for number in range(100):
            asked.append(number)
            yield token(b"a ")

    source = b"".join(pages.page(scores(), evaluation(12_345), "m", "t")).decode()
    assert len(asked) == 10 and len(Reader(source).tokens) == 10
    assert "The page ends after the first 10 of 12,345 tokens" in source


def test_the_most_surprising_words_are_listed_and_led_to():
    text = [("the", 1), (" odd", 3), ("ity", 9), (",", 1), (" ", 0.1), ("cat\n", 4), ("odd", 8)]
    found = read([token(piece.encode(), bits) for piece, bits in text] * 3)
    assert found.words[:3] == ["oddity", "oddthe", "odd"]
    assert len(set(found.words)) == len(found.words)
    places = {values["id"]: text for values, text in found.tokens if "id" in values}
    links = [values["href"][1:] for tag, values in found.all if tag == "a"]
    assert places[links[0]] == " odd" and set(links) <= set(places)


def test_blocks_end_where_lines_do():
    source = made([token(b"a\n")] * (3 * pages.BLOCK) + [token(b"b")])
    blocks = re.findall("<div>(.*?)</div>", source.split("<main", 1)[1], re.S)
    assert len(blocks) == 4
    assert all(block.endswith("\n</u></span>") for block in blocks[:-1])


def test_an_empty_text_is_a_page():
    assert Reader(made([])).tokens == []


def _oklab(colour):
    red, green, blue = (_linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short


def _linear(part):
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _contrast(one, other):
    lights = sorted(
        sum(
            weight * _linear(int(colour[i : i + 2], 16) / 255)
            for weight, i in ((0.2126, 1), (0.7152, 3), (0.0722, 5))
        )
        for colour in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize(
    "page, text, ramp",
    [
        (colours.LIGHT_PAGE, colours.LIGHT_TEXT, colours.LIGHT),
        (colours.DARK_PAGE, colours.DARK_TEXT, colours.DARK),
    ],
)
def test_colours_are_even_steps_that_text_stands_out_from(page, text, ramp):
    assert len(ramp) == len(colours.LIMITS)
    assert min(_contrast(text, colour) for colour in ramp) >= 4.5
    lightness = [_oklab(colour) for colour in (page, *ramp)]
    steps = [abs(b - a) for a, b in pairwise(lightness)]
    assert min(steps) > 0.055 and max(steps) < 0.07
    assert lightness in (sorted(lightness), sorted(lightness, reverse=True))
