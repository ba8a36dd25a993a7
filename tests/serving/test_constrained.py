"""Answers that must match: over HTTP as in Python, and whatever they are asked to be, no harm."""

import asyncio
import json
import re
import threading
import time

import httpx
import pytest

from charlm.generation.generator import Generator
from charlm.generation.languages import PatternLanguage, PrefixLanguage, WordLanguage
from charlm.generation.options import SamplingOptions
from charlm.serving.constraints import ConstraintMaker, Wish
from charlm.serving.engine import ModelEngine
from charlm.serving.options import ServeOptions
from charlm.serving.orders import Constraint, Failure
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram
from tests.serving import stand_in
from tests.serving.running import NAME, running
from tests.serving.test_engine import (
    CHAR,
    ENDLESS,
    asked,
    engine_of,  # noqa: F401  (a fixture)
    model_of,
    order,
)

SLOW = "([a-z ]|[a-z ]|[a-z ])*" * 4 + "[0-9]{2}c"  # to refuse what is no letter
WORDS = ("cat", "mat", "the end")


def languages():
    """Give options of the library, and the language that the server makes of the same wish."""
    yield {"regex": "[a-z]{3} (cat|мир)[.!]?"}, PatternLanguage("[a-z]{3} (cat|мир)[.!]?")
    yield {"words": WORDS}, WordLanguage(WORDS, spaced=False)
    yield {"prefix": "мир the"}, PrefixLanguage("мир the")
    yield {}, None


def test_orders_of_any_language_are_each_answered_as_if_alone(engine_of):  # noqa: F811
    model = model_of()
    engine, waiting = engine_of(model), []
    for seed in range(6):
        for rules, language in languages():
            constraint = None if language is None else Constraint("regex", language)
            temperature = 0.5 + seed / 4
            options = SamplingOptions(temperature=temperature, top_k=9)
            keywords = {"seed": seed, "count": 1 + seed % 3, "constraint": constraint}
            client = asked(engine, order("the ", options, 25, **keywords))
            alone = Generator(
                model.predictor,
                CHAR,
                "the ",
                SamplingOptions(temperature=temperature, top_k=9, **rules),
                max_tokens=25,
                seed=seed,
                count=1 + seed % 3,
            ).samples()
            waiting.append((client, alone))
    for client, alone in waiting:
        client.wait()
        for sample, expected in enumerate(alone):
            assert client.text(sample) == expected.text
            finish = "length" if expected.stopped_by in ("length", "stuck") else "stop"
            assert client.pieces(sample)[-1].finish == finish


def test_an_expression_that_takes_too_long_fails_its_own_order_and_names_the_field(engine_of):  # noqa: F811
    engine = engine_of(model_of(), constraint_seconds=0.1)
    good = [asked(engine, order(max_tokens=60, seed=seed)) for seed in range(3)]
    wish = Constraint("regex", PatternLanguage(SLOW, seconds=0.05))
    hard = order("the ", SamplingOptions(temperature=2), 60, count=3, seed=1, constraint=wish)
    failure = asked(engine, hard).wait().answers[-1]
    assert isinstance(failure, Failure) and failure.field == "regex"
    assert "repetitions inside repetitions" in failure.message
    for client in good:
        assert client.wait().pieces()[-1].finish is not None
    assert asked(engine, order()).wait().text()


class Sluggish:
    """A language of everything, each judgment of which takes a while."""

    ends = True

    def __init__(self, seconds):
        self.seconds = seconds

    def begins(self, text):
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        return True

    holds = begins

    def probes(self, text, pending=b""):
        return "a"


def test_a_language_may_take_so_much_time_at_a_token_and_others_take_turns_with_it(engine_of):  # noqa: F811
    engine = engine_of(model_of(), constraint_seconds=0.2)
    wish = Constraint("words", Sluggish(0.15))
    failure = asked(engine, order(constraint=wish, seed=1)).wait().answers[-1]
    assert failure == Failure(
        "cannot be that: it takes more than 0.2 s at one token: write it without repetitions "
        "inside repetitions",
        "words",
    )
    wish = Constraint("words", Sluggish(0.005))
    slow = [
        asked(engine, order(max_tokens=10, options=ENDLESS, constraint=wish, seed=s))
        for s in range(4)
    ]
    quick = asked(engine, order(options=ENDLESS, max_tokens=200)).wait()
    assert quick.pieces()[-1].finish == "length"
    assert not any(client.done.is_set() for client in slow)
    assert [client.wait().pieces()[-1].finish for client in slow] == ["length"] * 4


def test_however_many_texts_must_be_of_a_language_others_find_room(engine_of):  # noqa: F811
    engine = engine_of(model_of(seconds=0.002), streams=8)
    wish = Constraint("words", Sluggish(0.001))
    slow = [
        asked(engine, order(count=4, max_tokens=60, options=ENDLESS, constraint=wish, seed=seed))
        for seed in range(3)
    ]
    quick = asked(engine, order(options=ENDLESS, max_tokens=5)).wait()
    assert quick.pieces()[-1].finish == "length"
    assert not any(client.done.is_set() for client in slow)


@pytest.fixture(scope="module")
def address():
    model = model_of(stand_in.CHAR, Bigram.of_text(stand_in.CHAR, stand_in.TEXT, 1e-2))
    with running(ModelEngine(model)) as server:
        yield server.address


def complete(address, **fields):
    body = {"model": NAME, "prompt": "the ", "max_tokens": 40, "seed": 5} | fields
    return httpx.post(f"{address}v1/completions", json=body, timeout=30)


def texts(address, **fields):
    answer = complete(address, **fields)
    assert answer.status_code == 200, answer.text
    return [choice["text"] for choice in answer.json()["choices"]]


def test_an_answer_matches_and_stops_there(address):
    answer = complete(address, regex="[ctm]a[a-z]( [a-z]{2})?", n=8).json()
    for choice in answer["choices"]:
        assert re.fullmatch("[ctm]a[a-z]( [a-z]{2})?", choice["text"])
        assert choice["finish_reason"] == "stop"
    none = complete(address, regex="(?=a)c").json()["choices"][0]  # no text is both
    assert none["finish_reason"] == "length"
    cut = complete(address, regex="[a-z]{9}", max_tokens=4).json()["choices"][0]
    assert len(cut["text"]) == 4 and cut["finish_reason"] == "length"


def test_each_field_asks_for_what_its_name_says(address):
    found = texts(address, prompt=["the", "the "], words=["cat", "mat"], n=8)
    assert {text.strip() for text in found} <= {"cat", "mat"}
    assert {text[0] for text in found[8:]} <= {"c", "m"}  # there is a space before it already
    assert " cat" in texts(address, prompt="the", words=["cat"], n=8)
    for wish in ({"guided_choice": ["cat"]}, {"structured_outputs": {"choice": ["cat"]}}):
        assert set(texts(address, prompt="the", n=8, **wish)) == {"cat"}  # and nothing but that
    of_three = [texts(address, **{name: "[abc]{3}"})[0] for name in ("regex", "guided_regex")]
    outputs = {"regex": "[abc]{3}", "json": None}
    assert {*of_three, *texts(address, structured_outputs=outputs)} == {of_three[0]}
    assert all(text.startswith("привет c") for text in texts(address, prefix="привет c", n=3))


def test_a_prompt_of_ids_is_seen_as_its_text(address):
    for prompt in ("the", "the "):
        as_text, as_ids = (
            texts(address, prompt=given, words=["cat", "mat"], n=4)
            for given in (prompt, stand_in.CHAR.encode(prompt).tolist())
        )
        assert as_text == as_ids


def test_a_stream_matches_too(address):
    body = {"prompt": "the ", "seed": 5, "stream": True, "regex": "[a-z]{3,5}!", "n": 2}
    found = ["", ""]
    with httpx.stream("POST", f"{address}v1/completions", json=body, timeout=30) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    found[choice["index"]] += choice["text"]
    assert found == texts(address, regex="[a-z]{3,5}!", n=2)
    assert all(re.fullmatch("[a-z]{3,5}!", text) for text in found)


def test_what_is_echoed_or_told_of_log_p_needs_not_match(address):
    choice = complete(address, regex="cat", echo=True, logprobs=2).json()["choices"][0]
    assert choice["text"] == "the cat"
    assert choice["logprobs"]["tokens"] == list("the cat")
    free = complete(address, prompt="the cat", echo=True, logprobs=2, max_tokens=1).json()
    whole = free["choices"][0]["logprobs"]["token_logprobs"]
    assert choice["logprobs"]["token_logprobs"][1:] == pytest.approx(whole[1:7], rel=1e-5)


BPE = learn_tokenizer("bpe", lambda: [stand_in.TEXT], vocab_size=290)


@pytest.fixture
def of_pairs():
    engine = ModelEngine(model_of(BPE, Bigram.of_text(BPE, stand_in.TEXT, 1e-2)))
    with running(engine, tokenizer=BPE) as server:
        yield server.address


def test_a_prompt_that_ends_in_a_blank_is_gone_on_from_as_in_python(of_pairs):
    body = {
        "prompt": ["the ", "sat on the "],
        "words": ["cat", "dog", "mat"],
        "n": 4,
        "logprobs": 1,
    }
    predictor = Bigram.of_text(BPE, stand_in.TEXT, 1e-2)
    expected = []
    for prompt in body["prompt"]:
        options = SamplingOptions(words=tuple(body["words"]))
        made = Generator(predictor, BPE, prompt, options, max_tokens=40, seed=5, count=4)
        expected += [sample.text for sample in made.samples()]
    assert texts(of_pairs, **body) == expected
    echoed = complete(of_pairs, **body, echo=True).json()["choices"]
    prompts = [prompt for prompt in body["prompt"] for _ in range(4)]
    wholes = [prompt + text for prompt, text in zip(prompts, expected, strict=True)]
    assert [choice["text"] for choice in echoed] == wholes
    for choice in echoed:
        assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    nothing = texts(of_pairs, prompt="the ", regex="a", echo=True, max_tokens=0)
    assert nothing == ["the "]


def test_the_server_answers_others_while_it_makes_a_large_expression_ready(address):
    classes = "".join(rf"[\p{{L}}--[{chr(c)}-{chr(c + 9)}]]" for c in range(0x100, 0x200, 20))
    pattern, found, waits = f"(?V1i){classes}"[:256].rsplit("[\\p", 1)[0], [], []
    thread = threading.Thread(target=lambda: found.append(complete(address, regex=pattern)))
    thread.start()
    with httpx.Client(base_url=address, timeout=30) as client:
        while thread.is_alive():
            began = time.monotonic()
            assert client.get("/health").is_success
            waits.append(time.monotonic() - began)
    assert found[0].status_code in (200, 400)
    assert sorted(waits)[len(waits) // 2] < 0.2


def test_expressions_wait_for_their_turn_and_no_more_than_may(monkeypatch):
    made, go_on = [], threading.Event()

    def prepare(language, seconds):
        assert go_on.wait(10)
        made.append(language)

    monkeypatch.setattr(PatternLanguage, "prepare", prepare)
    maker = ConstraintMaker(CHAR, ServeOptions(queue=2, request_seconds=0.2))
    wishes = [Wish("regex", "regex", each) for each in "abc"]

    async def ask():
        found = await asyncio.gather(
            *(maker.make(wish, "") for wish in wishes), return_exceptions=True
        )
        go_on.set()
        return [each.status for each in found], await maker.make(wishes[0], "")

    statuses, constraint = asyncio.run(ask())
    assert statuses == [504, 504, 429]
    assert constraint.language.holds("a") and len(made) == 2  # what nobody waits for is not made


BOMBS = [
    r"(a{0,250}){0,250}" * 9,
    r"((((a{0,99}){0,99}){0,99}){0,99}){0,99}b",
    r"(?:a|a)*" * 20 + "b",
    r"(a*)*" * 40 + "c",
    r"(?R)",
    r"(a|(?R))*",
    r"((?1)?a)*b",
    r"(?P<x>a(?&x)?)*",
    "(" * 128 + ")" * 128,
    "[" * 256,
    "(?i)" + "[à-ö]" * 50,
    r"\p{L}\p{Lu}\p{Ll}" * 15,
    r"(?:cat){e<=3}",
    r"(?:[a-z]+){i<=9,d<=9,s<=9}" * 6,
    r"(?<=a{0,999}b)" * 15,
    "a{99999999999999999999}",
    r"(?b)(?:a+b+){e}",
    r"(?:(?=a*)*)*",
    r"\N{LATIN SMALL LETTER A}\X\R\K" * 5,
    r"(?r)a+b*",
    r"\L<words>",
    r"(*PRUNE)a(*SKIP)b(*FAIL)",
    r"(?|(a)|(b))\1\G\m\M",
    r"(?w)(?u)(?L)a",
]


@pytest.mark.parametrize("pattern", BOMBS)
def test_whatever_an_expression_is_the_server_goes_on(address, pattern):
    began = time.monotonic()
    answer = complete(address, prompt="aaaaaaaaaaaaaaaaaaaaaaa", regex=pattern[:256])
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert answer.json()["error"]["param"] == "regex"
    assert time.monotonic() - began < 15
    assert texts(address, max_tokens=3)
