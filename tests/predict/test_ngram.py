"""Counts: Kneser-Ney by the equations, on texts small enough for that, and as a Predictor."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.predict.kneser_ney import FALLBACK, discounts, estimate
from charlm.predict.ngram import NgramPredictor
from tests.predict.laws import check_laws

V = 6  # 0 is the boundary


def in_documents(documents):
    ids, boundaries = [0], [0]
    for document in documents:
        ids += [*document, 0]
        boundaries.append(len(ids) - 1)
    return np.array(ids), np.array(boundaries)


def predictor_of(documents, order, size=V, **options):
    return NgramPredictor(estimate(*in_documents(documents), size, order, **options).tables, 0)


class ByTheEquations:
    """Kneser-Ney with dictionaries, one n-gram at a time, as the paper writes it.

    Of n-grams longer than `whole` those seen once are left out: they count, but are as if unseen.
    """

    def __init__(self, documents, order, size=V, whole=99):
        self.order, self.size = order, size
        texts = [[0, *document, 0] for document in documents]
        raw = [Counter() for _ in range(order + 1)]
        before = [defaultdict(set) for _ in range(order + 1)]
        for text in texts:
            for end in range(1, len(text)):
                for n in range(1, min(order, end + 1) + 1):
                    gram = tuple(text[end + 1 - n : end + 1])
                    raw[n][gram] += 1
                    if n <= end:
                        before[n][gram].add(text[end - n])
        self.counts = [Counter() for _ in range(order + 1)]
        longest = max(n for n in range(1, order + 1) if raw[n])
        for n in range(1, longest + 1):
            for gram, number in raw[n].items():
                at_beginning = sum(tuple(text[:n]) == gram for text in texts) if n > 1 else 0
                known = len(before[n][gram]) + at_beginning
                self.counts[n][gram] = number if n == longest else known
        self.kept = {
            gram for n in range(order + 1) for gram, k in raw[n].items() if k > 1 or n <= whole
        }

    def prob(self, word, context):
        context = tuple(context[-(self.order - 1) :]) if self.order > 1 else ()
        if not context:
            return self._mix(word, (), 1 / self.size)
        return self._mix(word, context, self.prob(word, context[1:]))

    def _mix(self, word, context, shorter):
        counts = self.counts[len(context) + 1]
        own = {gram[-1]: n for gram, n in counts.items() if gram[:-1] == context}
        total = sum(own.values())
        if not total:
            return shorter
        taken = (0.0, *discounts(np.array(list(counts.values()))))
        share = {
            last: (n - taken[min(n, 3)]) / total
            for last, n in own.items()
            if (*context, last) in self.kept
        }
        return share.get(word, 0) + (1 - sum(share.values())) * shorter


texts = st.lists(st.lists(st.integers(1, V - 1), max_size=12), min_size=1, max_size=4)


@settings(max_examples=60)
@given(texts, st.integers(1, 4), st.lists(st.integers(0, V - 1), min_size=1, max_size=8))
def test_it_is_kneser_ney_by_the_equations(documents, order, asked):
    ours, plain = predictor_of(documents, order), ByTheEquations(documents, order)
    nats, _ = ours.score(np.array([asked]), ours.start(1))
    read = [0]
    for word, cost in zip(asked, nats[0], strict=True):
        assert np.exp(-cost) == pytest.approx(plain.prob(word, read), rel=1e-4)
        read.append(word)


@settings(max_examples=30)
@given(texts, st.integers(1, 5), st.integers(0, 1000))
def test_it_is_a_predictor(documents, order, seed):
    ids = np.random.default_rng(seed).integers(0, V, size=(3, 9))
    check_laws(predictor_of(documents, order), ids)


def test_a_text_of_nothing_can_be_counted():
    ours = predictor_of([[]], 5)
    assert np.exp(ours.prediction(ours.start(1)).log_probs()).sum() == pytest.approx(1)
    assert ours.prediction(ours.start(1)).top(1)[0][0, 0] == 0  # the end


def test_no_n_gram_reaches_over_a_boundary():
    apart, together = predictor_of([[1, 2], [3, 4]], 3), predictor_of([[1, 2, 3, 4]], 3)
    asked = np.array([[1, 2, 3]])
    costs = [ours.score(asked, ours.start(1))[0][0, 2] for ours in (apart, together)]
    assert costs[0] > costs[1] + 0.5


@settings(max_examples=60)
@given(
    texts,
    st.integers(2, 5),
    st.integers(V, 60),
    st.lists(st.integers(0, V - 1), min_size=1, max_size=8),
)
def test_what_is_left_out_for_want_of_room_counts_as_the_equations_say(
    documents, order, most, asked
):
    made = estimate(*in_documents(documents), V, order, most_bytes=16 * most)
    assert sum(len(table.keys) for table in made.tables) <= most
    ours = NgramPredictor(made.tables, 0)
    plain = ByTheEquations(documents, ours.order, whole=made.whole)
    nats, _ = ours.score(np.array([asked]), ours.start(1))
    read = [0]
    for word, cost in zip(asked, nats[0], strict=True):
        assert np.exp(-cost) == pytest.approx(plain.prob(word, read), rel=1e-4)
        read.append(word)
    check_laws(ours, np.resize(asked, (2, 9)))


def test_where_the_tables_would_be_too_large_those_seen_once_go_first_of_the_longest():
    random = np.random.default_rng(0)
    documents = in_documents([(random.integers(1, 50, size=2000) ** 2 // 50).tolist()])
    whole, *smaller = (
        estimate(*documents, 50, 5, most_bytes=16 * most) for most in (10_000, 2_500, 900, 200)
    )
    assert [len(table.keys) for table in whole.tables] == [50, 914, 1883, 1995, 1998]
    assert [(len(made.tables), made.whole) for made in (whole, *smaller)] == [
        (5, 5),
        (4, 2),
        (4, 1),
        (1, 1),
    ]
    for made in smaller:
        check_laws(NgramPredictor(made.tables, 0), random.integers(0, 50, size=(2, 20)))


def test_discounts_are_those_of_chen_and_goodman():
    counts = np.repeat([1, 2, 3, 4, 9], [40, 20, 10, 5, 3])
    share = 40 / (40 + 2 * 20)
    expected = 1 - 2 * share * 20 / 40, 2 - 3 * share * 10 / 20, 3 - 4 * share * 5 / 10
    assert discounts(counts) == pytest.approx(expected)


@pytest.mark.parametrize("counts", [[], [1, 1], [1, 2, 2], [1, 1, 2, 3, 3, 3, 3]])
def test_where_there_are_too_few_counts_the_discounts_are_the_usual_ones(counts):
    assert discounts(np.array(counts, dtype=int)) == FALLBACK


def test_more_of_the_context_known_makes_a_text_cheaper():
    text = (list(range(1, V)) * 40)[:150]
    costs = [
        ours.score(np.array([text]), ours.start(1))[0].mean()
        for ours in (predictor_of([text], order) for order in (1, 2, 3))
    ]
    assert costs[0] > costs[1] + 1 and costs[1] >= costs[2] - 0.01


def test_it_tells_how_much_of_what_was_read_it_knows():
    ours = predictor_of([[1, 2, 3, 4]], 4)
    asked = np.array([[1, 2, 3, 5, 2]])
    known = ours.known_before(asked, ours.start(1))
    assert known.tolist() == [[1, 2, 3, 3, 1]]
    assert ours.known(ours.score(asked, ours.start(1))[1]).tolist() == [1]


def words_of(path):
    return [line.split() for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("order", "known"), [(5, 141.19)])
def test_penn_treebank_has_the_perplexity_that_kenlm_gives_it(shared_data, order, known):
    folder = shared_data / "ptb"
    train = words_of(folder / "ptb.train.txt")
    numbers = {word: number for number, word in enumerate(sorted({w for t in train for w in t}), 1)}
    lines = [[numbers[word] for word in line] for line in train]
    ours = predictor_of(lines, order, size=len(numbers) + 1)  # a line a sentence; 0 ends it
    nats = tokens = 0.0
    for line in words_of(folder / "ptb.test.txt"):
        ids = np.array([[*(numbers[word] for word in line), 0]])
        nats += ours.score(ids, ours.start(1))[0].sum(dtype=np.float64)
        tokens += ids.size
    assert tokens == 82_430 and np.exp(nats / tokens) == pytest.approx(known, abs=0.01)
