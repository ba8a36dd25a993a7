"""Texts that must match: all do, and each is as probable as the model makes it among them."""

import re

import numpy as np
import pytest

from charlm.errors import UsageError
from charlm.generation.constraints import LanguageGuard
from charlm.generation.generator import Generator
from charlm.generation.joints import BegunLanguage
from charlm.generation.languages import PatternLanguage, PrefixLanguage, WordLanguage
from charlm.generation.options import BeamOptions, SamplingOptions
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "a cat and a cab: the cat can't act. a bad act\né ☃ " * 10
KINDS = {
    "byte": learn_tokenizer("byte", lambda: [TEXT]),
    "char": learn_tokenizer("char", lambda: [TEXT]),
    "word": learn_tokenizer("word", lambda: [TEXT]),
    "bpe": learn_tokenizer("bpe", lambda: [TEXT], vocab_size=290),
}
CHARACTERS = list(
    map(
        chr,
        [
            *range(0xD800),
            *range(0xE000, 0x10000),
            *range(0x1DF80, 0x1E000),
            *range(0x1F600, 0x1F640),
        ],
    )
)
BEGUN = [
    *(bytes([byte]) for byte in (*range(128), *range(0xC2, 0xF0))),
    b"\xe1\x9a",
    b"\xe4\xb8",
    b"\xf0\x9d\xbe",
    b"\xf0\x9f\x98",
]
FLAGS = ["", "", "", "(?i)", "(?if)", "(?V1)", "(?V1i)", "(?w)", "(?s)", "(?a)", "(?x)# [\n"]
PARTS = re.findall(
    r"\S+",
    r"""
    \w \W \d \s \R \X \b \m\w . \p{L} \p{Lu} \p{Greek} \p{^Han} \p{Ogham} \pN [[:alpha:]]
    [А-Яа-я] [^а-я\s] [א-ת] [一-龥] [\u16a0\u16a3] [\]ß] []ж] [क-ह] [\w--[а-я]] [\p{L}&&[^а-яa-z]]
    Ж \[Ж ß é ☃ 漢 k İ ǅ ﬁ ss \u16a0 \xe9 \U0001F600 \N{SNOWMAN} (\w)\1 (?P<one>\W)(?P=one)
    (?=\p{Lu})\w (?!Ж)\w (?:Ж|漢字|é) (?i:ж) (?<=\w)\W
    """,
)
CLOSED = learn_tokenizer("word", lambda: [TEXT], unknown="unk")


def written(kind, count=25, prompt="the", max_tokens=60, **options):
    tokenizer = KINDS.get(kind, CLOSED)
    predictor = Bigram.of_text(tokenizer, TEXT, smoothing=0.05)
    more = {name: options.pop(name) for name in ("stops", "beams") if name in options}
    rules = SamplingOptions(**options)
    return Generator(
        predictor, tokenizer, prompt, rules, max_tokens=max_tokens, seed=1, count=count, **more
    ).samples()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "pattern", [r" [abct]{2,4}", r"[0-9]{3}-[0-9]", r" (cat|act|dog)\.", r"é?☃{2}", r"[à-ö]x"]
)
def test_what_is_written_matches(kind, pattern):
    for sample in written(kind, regex=pattern):
        assert sample.stopped_by == "match", sample
        assert re.fullmatch(pattern, sample.text), sample


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_may_go_on_ends_by_choice_or_by_length(kind):
    samples = written(kind, count=60, regex=r"[a-z ]*", max_tokens=30)
    assert all(re.fullmatch("[a-z ]*", sample.text) for sample in samples)
    assert {"match"} <= {sample.stopped_by for sample in samples} <= {"match", "length"}
    assert len({len(sample.text) for sample in samples}) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_some_words_is_written(kind):
    words = ("cat", "cab", "cabbage", "zebra", "☃ man")
    samples = written(kind, count=40, words=words)
    assert {sample.text.strip() for sample in samples} <= set(words)
    assert {sample.stopped_by for sample in samples} == {"match"}


def test_words_are_as_probable_as_the_model_makes_them():
    tokenizer, words = KINDS["char"], ("cat", "ca", "act")
    used = [int(tokenizer.encode(letter)[0]) for letter in "cat."]
    table, random = np.full((tokenizer.vocab_size,) * 2, -60.0), np.random.default_rng(2)
    for row in used:
        table[row, used] = np.log(random.dirichlet(np.ones(4)))
    predictor = Bigram(table, tokenizer.boundary_id)
    rules = SamplingOptions(words=words)
    samples = Generator(predictor, tokenizer, "a", rules, seed=3, count=1500).samples()
    shares = {word: sum(s.text == word for s in samples) / len(samples) for word in words}
    of_c, of_a, _, _ = np.exp(table[used[1], used])  # after the prompt's "a"
    assert shares["act"] == pytest.approx(of_a / (of_a + of_c), abs=0.05)
    to_t = float(np.exp(table[used[1], used[2]]))  # after "ca" the text goes on so, or ends
    assert shares["cat"] / (shares["cat"] + shares["ca"]) == pytest.approx(to_t, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", [" can't", " zebra☃", "\n\n", ""])
def test_a_text_begins_as_it_must_and_goes_on_freely(kind, prefix):
    samples = written(kind, prefix=prefix, max_tokens=30)
    assert all(sample.text.startswith(prefix) for sample in samples)
    assert len({sample.text for sample in samples}) > 10


@pytest.mark.parametrize("rules", [{}, {"temperature": 0.3}, {"beams": BeamOptions(beams=30)}])
@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_a_blank_at_the_end_of_a_prompt_is_written_with_the_word_behind_it(kind, rules):
    for prompt in ("the", "a bad", "", "a cab: the cat"):
        blank = written(kind, prompt=f"{prompt} ", words=("cat", "act", "cab"), **rules)
        plain = written(kind, prompt=prompt, regex=" (cat|act|cab)", **rules)
        assert [f" {sample.text}" for sample in blank] == [sample.text for sample in plain]
        for one, other in zip(blank, plain, strict=True):
            assert (one.tokens, one.nats) == (other.tokens, other.nats)
    prefixed = written(kind, prompt="the ", prefix="cat a", max_tokens=20, **rules)
    assert all(sample.text.startswith("cat a") for sample in prefixed)


@pytest.mark.parametrize("kind", ["byte", "char"])
def test_where_no_token_joins_a_blank_to_a_word_it_is_read(kind):
    for sample in written(kind, prompt="the ", words=("cat",)):
        assert (sample.text, sample.tokens) == ("cat", 3)


@pytest.mark.parametrize("prompt", ["the ", "the  ", "bad act\n", "bad act\n ", " ", ""])
def test_a_word_of_the_closed_form_follows_a_blank_without_another(prompt):
    for sample in written("closed", prompt=prompt, words=("cat",)):
        assert (sample.text, sample.stopped_by) == ("cat", "match")


def test_a_stop_string_is_not_looked_for_in_what_the_prompt_had():
    for sample in written("bpe", prompt="the ", regex="[a-z ]{9,}", stops=(" ",)):
        assert " " not in sample.text and len(sample.text) > 0


def test_a_language_that_was_begun_is_that_of_what_follows():
    words, begun = WordLanguage(["cat", "cab"], spaced=False), "é "
    whole = BegunLanguage(begun, words)
    for end in range(len(begun) + 1):
        assert whole.begins(begun[:end]) and not whole.holds(begun[:end])
    for text in ("ca", "cat", "cu", "cats"):
        assert whole.begins(begun + text) == words.begins(text)
        assert whole.holds(begun + text) == words.holds(text)
        assert list(whole.probes(begun + text)) == list(words.probes(text))
    assert not whole.begins("e") and not whole.begins("cat") and not whole.begins("éc")
    assert whole.probes("", b"\xc3") == ["é"] and not whole.probes("é", b"\xc3")
    assert whole.ends and not BegunLanguage(begun, PrefixLanguage("a")).ends


@pytest.mark.parametrize("prompt, space", [("the", " "), ("", ""), ("bad act\n", "")])
def test_words_of_the_closed_form_are_seen_with_the_spaces_that_are_written(prompt, space):
    pattern = rf"{space}(cat|cab:|a|and)( (cat|cab:|a|and)){{2,4}}\n"
    for sample in written("closed", prompt=prompt, regex=pattern):
        assert sample.stopped_by == "match", sample
        assert re.fullmatch(pattern, sample.text), sample
    words = ("cat", "a bad act", "cab: the cat")
    texts = [sample.text for sample in written("closed", count=60, prompt=prompt, words=words)]
    assert {text.removeprefix(" ") for text in texts} == set(words)
    assert {text[: len(space)] for text in texts} == {space}
    prefix = f"{space}cat\nact. a"
    samples = written("closed", prompt=prompt, prefix=prefix, max_tokens=9)
    assert all(sample.text.startswith(prefix) and sample.tokens == 9 for sample in samples)
    assert len({sample.text for sample in samples}) > 10


@pytest.mark.parametrize("kind", [*KINDS, "closed"])
def test_what_may_come_is_asked_of_a_decoder_without_changing_it(kind):
    tokenizer, random = KINDS.get(kind, CLOSED), np.random.default_rng(4)
    decoder, untouched = tokenizer.decoder(), tokenizer.decoder()
    for token in random.integers(tokenizer.vocab_size, size=300).tolist():
        other = random.integers(tokenizer.vocab_size, size=2).tolist()
        decoder.peek(other), decoder.pending(other)
        whole = None if decoder.pending(other[:1]) else decoder.peek(other[:1])
        assert decoder.peek_one(other[0]) in (whole, None)
        assert decoder.pending() == untouched.pending()
        assert decoder.push([token]) == untouched.push([token])


def test_a_length_that_is_too_short_is_said():
    assert {s.stopped_by for s in written("char", regex="a{50}", max_tokens=9)} == {"length"}


def test_mistakes_in_an_expression_are_said_with_their_place():
    with pytest.raises(UsageError, match="at character 2"):
        PatternLanguage("(a")
    with pytest.raises(UsageError, match="no text"):
        PatternLanguage("(?!)")
    with pytest.raises(UsageError, match="takes more than"):
        PatternLanguage(r"(a|a|a)*(a|a|a)*(a|a|a)*(a|a|a)*b{2}c").begins("a" * 90 + "d" * 3 + "e")
    with pytest.raises(UsageError, match="mutually incompatible"):
        PatternLanguage("(?u)(?L)a")
    with pytest.raises(UsageError, match="take too long to tell apart"):
        PatternLanguage(r"(?i)[ж][\w--[а-я]]").prepare(seconds=0)
    with pytest.raises(UsageError, match="list"):
        WordLanguage("cat")
    with pytest.raises(UsageError, match="one of"):
        SamplingOptions(regex="a", prefix="b")


def test_languages_know_their_texts():
    words = WordLanguage(["cat", "cab"])
    assert words.begins("ca") and words.begins(" c") and not words.begins("cu")
    assert words.holds("cat") and words.holds(" cab") and not words.holds("ca")
    prefix = PrefixLanguage("ab")
    assert prefix.begins("a") and prefix.begins("abc") and not prefix.begins("b")


COMPLETIONS = {pending: [] for pending in BEGUN}
for character in CHARACTERS:
    for end in range(1, len(character.encode()) + 1):
        COMPLETIONS.get(character.encode()[:end], []).append(character)


def random_pattern(random):
    ends = ["", "", "?", "*", "+", "{2}"]
    parts = [random.choice(PARTS) + random.choice(ends) for _ in range(random.integers(1, 4))]
    return random.choice(FLAGS) + "".join(parts)


def random_patterns(seed, count):
    random, languages = np.random.default_rng(seed), {}
    while len(languages) < count:
        pattern = random_pattern(random)
        try:
            languages[pattern] = PatternLanguage(pattern)
        except UsageError:  # no text can match it
            continue
    return languages.items()


def going_on(language, text, characters):
    return [c for c in characters if language.begins(text + c)]


@pytest.mark.parametrize("seed", range(3))
def test_probes_go_on_where_any_character_does(seed):
    random = np.random.default_rng(seed)
    for pattern, language in random_patterns(seed, 25):
        text = ""
        for _ in range(3):
            for number in random.choice(len(BEGUN), 6, replace=False):
                pending = BEGUN[number]
                probes = list(language.probes(text, pending))
                assert all(probe.encode().startswith(pending) for probe in probes)
                one_goes_on = any(language.begins(text + c) for c in COMPLETIONS[pending])
                assert bool(going_on(language, text, probes)) == one_goes_on, (pattern, text)
            after = going_on(language, text, language.probes(text))
            if not after:
                break
            text += random.choice(after)


KINDS_TO_TELL = [
    ("", r"[Ж漢]a"),
    ("", r"(?i)ßb"),
    ("", r"(?if)ssb"),
    ("", r"(?i)[\u0421-\u0423]a"),
    ("a", r"a\B.b"),
    ("s", r"(?if)\xdf"),
    ("", r"(?sm).^b"),
    ("", r"(?smw).^b"),
    ("", "[\ud800-\ud801]a"),
    ("", "(?x)# [\nЖД # ]"),
    ("ᄀ", r"\X(?<=^ᄀ.)x"),  # one that joins the syllable
    ("a", r"(?w)a\B.b"),  # one that joins the word
    ("Ж", r"([^a])\1b"),
    ("С", r"(?i)([^a])\1b"),
]


@pytest.mark.parametrize("text, pattern", KINDS_TO_TELL)
def test_each_character_is_of_a_kind_that_a_probe_is_of(text, pattern):
    language = PatternLanguage(pattern)
    assert bool(going_on(language, text, language.probes(text))) == bool(
        going_on(language, text, CHARACTERS)
    )
    for pending in BEGUN:
        probes = list(language.probes(text, pending))
        assert all(probe.encode().startswith(pending) for probe in probes)
        one_goes_on = any(language.begins(text + c) for c in COMPLETIONS[pending])
        assert bool(going_on(language, text, probes)) == one_goes_on


def test_a_pattern_of_one_class_needs_few_probes():
    language = PatternLanguage("[А-Яа-я ]+")
    assert len(list(language.probes("", b"\xd0"))) <= 4
    assert len(list(language.probes(""))) <= 20


def test_a_byte_model_writes_any_script_and_is_stuck_only_where_nothing_goes_on():
    for pattern, language in random_patterns(7, 40):
        for sample in set(written("byte", count=3, prompt="", regex=pattern, max_tokens=15)):
            if sample.stopped_by == "stuck":  # no character at all goes on
                assert not going_on(language, sample.text, CHARACTERS)
            elif sample.stopped_by != "length":
                assert language.holds(sample.text), (pattern, sample)


@pytest.mark.parametrize("kind", ["byte", "bpe"])
@pytest.mark.parametrize(
    "pattern",
    [r"[\u16a0-\u16f0]{3}", r"[一-龥]{3}", r"[А-Яа-я]{4}", r"\p{Ogham}\p{Deseret}", r"𐐀\p{Mn}"],
)
def test_characters_that_the_model_never_saw_are_written(kind, pattern):
    texts = set()
    for sample in written(kind, count=20, regex=pattern):
        assert sample.stopped_by == "match", sample
        assert PatternLanguage(pattern).holds(sample.text)
        texts.add(sample.text)
    assert len(texts) > 10


@pytest.mark.parametrize(
    "after", [r"\u16a0", "ᚠ", r"\p{Ogham}", "[ᚠ-ᛪ]", r"\U00010400", "[^\0-\uffff]"]
)
def test_what_is_complete_may_go_on_with_any_script(after):
    tokenizer = KINDS["byte"]
    guard = LanguageGuard(PatternLanguage(f"a{after}?"), None, tokenizer.decoder(), "a")
    assert guard.complete and not guard.finished
    done = LanguageGuard(PatternLanguage("a"), None, tokenizer.decoder(), "a")
    assert done.finished == "match"


def test_words_and_prefixes_are_asked_for_their_own_next_characters():
    listed = ["Жук", "Жёлудь", "Жу", "漢字", "a", "a\U0010ffff", "a\U0010ffffb", "\0"]
    words, prefix = WordLanguage(listed), PrefixLanguage("Ж漢")
    forms = {form for word in listed for form in (word, f" {word}")}
    for text in sorted({form[:end] for form in forms for end in range(len(form) + 1)}):
        for pending in [b"", b"\xd0", b"\xd1", b"\xe6\xbc", b"\xf4\x8f\xbf", b"a", b"\xed\xa0"]:
            after = {form[len(text)] for form in forms if form.startswith(text) and form != text}
            expected = sorted(c for c in after if c.encode().startswith(pending))
            assert list(words.probes(text, pending)) == expected, (text, pending)
    assert list(prefix.probes("", b"\xd0")) == ["Ж"] and not list(prefix.probes("", b"\xd1"))
    assert list(prefix.probes("Ж")) == ["漢"]
    assert [c.encode()[:2] for c in prefix.probes("Ж漢", b"\xe1\x9a")] == [b"\xe1\x9a"]
