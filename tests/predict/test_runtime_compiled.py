"""The compiled runtime is the one in NumPy: the same numbers and text, float32 or int8."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import UsageError
from charlm.model.rows import plain_weights, quantised, quantised_weights
from charlm.model.shape import NetworkConfig
from charlm.predict import runtime, runtime_heads, sharing
from charlm.predict.mixed import probs_of
from charlm.predict.runtime import RuntimePredictor
from tests.predict.laws import check_laws
from tests.predict.test_draws import Outputs, Simple

pytest.importorskip("numba")

from charlm.predict import compiling, runtime_compiled
from charlm.predict.runtime_compiled import CompiledRows, draw_compiled

V, BOUNDARY = 19, 18
CONFIGS = [
    NetworkConfig(V, 6, 6),
    NetworkConfig(V, 5, 33, num_layers=3),
    NetworkConfig(V, 5, 8, num_layers=2, cell="gru"),
    NetworkConfig(V, 5, 8, cell="rnn", tie_weights=False),
    NetworkConfig(V, 40, 8, num_layers=2, cell="rnn", nonlinearity="relu"),
    NetworkConfig(V, 5, 8, cutoffs=(4, 9)),
    NetworkConfig(V, 5, 8, num_layers=2, mogrifier=3, mogrifier_rank=2),
    NetworkConfig(V, 5, 8, mixtures=3),
    NetworkConfig(V, 5, 8, num_layers=3, last_hidden_size=11),
]


def weights_of(config, seed=0):
    generator = np.random.default_rng(seed)
    scale = 0.2 if config.nonlinearity == "relu" else 0.6
    shapes = config.parameter_shapes()
    return {n: generator.normal(0, scale, s).astype(np.float32) for n, s in shapes.items()}


def ids_of(*shape):
    return np.random.default_rng(0).integers(V, size=shape)


@pytest.fixture(params=["float32", "int8"])
def stored(request):
    return quantised_weights if request.param == "int8" else dict


@pytest.fixture(params=CONFIGS, ids=lambda c: f"{c.num_layers}-{c.cell}-{c.cutoffs}-{c.mixtures}")
def both(request, stored):
    """The runtime by NumPy, from float32 weights, and compiled, from those that are stored."""
    weights = stored(weights_of(request.param))
    plain = RuntimePredictor(request.param, plain_weights(weights), BOUNDARY, compiled=False)
    return plain, RuntimePredictor(request.param, weights, BOUNDARY, compiled=True)


@pytest.mark.parametrize("streams", [1, 3, 64])
@pytest.mark.parametrize("table", [True, False])
def test_scores_and_states_are_those_of_numpy(both, stored, streams, table, monkeypatch):
    plain, compiled = both
    if not table:
        config = plain._config
        monkeypatch.setattr(runtime, "MAX_TABLE", 0)
        weights = stored(weights_of(config))
        plain = RuntimePredictor(config, plain_weights(weights), BOUNDARY, compiled=False)
        compiled = RuntimePredictor(config, weights, BOUNDARY, compiled=True)
    ids = ids_of(streams, 20)
    expected, theirs = plain.score(ids, plain.start(streams))
    got, ours = compiled.score(ids, compiled.start(streams))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    np.testing.assert_allclose(ours.numbers, theirs.numbers, atol=1e-4)


def test_all_laws_hold(both):
    check_laws(both[1], ids_of(3, 15))


def test_the_same_noise_draws_the_same_text(both):
    texts = []
    for predictor in both:
        for temperature, k in ((0.0, 0), (0.8, 0), (1.0, 5)):
            generator, state = np.random.default_rng(5), predictor.start(1)
            prediction, rules = predictor.prediction(state), Simple(temperature, k)
            for _ in range(150):
                drawn = prediction.draw(rules, generator.random(1))
                texts.append(int(drawn[0]))
                prediction, state = predictor.step(drawn, state)
    assert texts[: len(texts) // 2] == texts[len(texts) // 2 :]


def test_a_state_is_not_altered_by_what_is_read_from_it(both):
    for predictor in both:
        for streams in (1, 3, 64):
            state = predictor.start(streams)
            before = state.numbers.copy()
            first = predictor.step(ids_of(streams), state)[1].numbers
            kept = first.copy()
            predictor.step(ids_of(streams) // 2, state)
            np.testing.assert_array_equal(state.numbers, before)
            np.testing.assert_array_equal(first, kept)


def test_an_id_that_is_none_is_refused(both):
    for predictor in both:
        for wrong in (-1, V, 10**9):
            with pytest.raises(UsageError, match=f"^{wrong} is no id of this model"):
                predictor.step(np.array([wrong]), predictor.start(1))


@pytest.mark.parametrize("width", [1, 31, 32, 33, 200, 1024, 1500, 4000])
@pytest.mark.parametrize("rows", [1, 3, 4, 9])
def test_bytes_are_multiplied_as_exactly_as_floats(width, rows):
    generator = np.random.default_rng(width)
    matrix = generator.normal(size=(rows, width)).astype(np.float32)
    vectors = (generator.normal(size=(2, width)) * [[1e-3], [1e3]]).astype(np.float32)
    vectors[1, 0] = 1e5  # one that makes the others small
    stored, biases = quantised(matrix), generator.normal(size=rows).astype(np.float32)
    exact = vectors.astype(np.float64) @ stored.dequantised().astype(np.float64).T + biases
    sizes = np.abs(vectors).astype(np.float64) @ np.abs(stored.dequantised()).T + 1
    for weight in (stored, stored.dequantised()):
        for few in (2, 0):  # one by one, and together
            errors = np.abs(CompiledRows(weight, biases, few)(vectors) - exact)
            assert (errors < 1e-6 * sizes).all()


@pytest.mark.parametrize("config", CONFIGS[:6], ids=lambda c: f"{c.cell}-{c.cutoffs}")
def test_a_stream_gives_the_same_beside_any_others_but_for_a_rounding(config):
    weights = weights_of(config)
    predictor = RuntimePredictor(config, weights, BOUNDARY, compiled=True)
    ids = ids_of(40, 3)
    state = predictor.start(40)
    for step in range(3):
        prediction, state = predictor.step(ids[:, step], state)
    for rows in (range(7, 11), range(20, 39), [3, 39, 0]):
        own = predictor.start(len(rows))
        for step in range(3):
            other, own = predictor.step(ids[list(rows), step], own)
        np.testing.assert_allclose(own.numbers, state.numbers[list(rows)], atol=1e-6)
        logs = prediction.log_probs()[list(rows)]
        np.testing.assert_allclose(other.log_probs(), logs, atol=2e-6)


def test_the_largest_sums_of_bytes_do_not_overflow():
    stored = quantised(np.ones((4, 3000), dtype=np.float32))
    sums = CompiledRows(stored, np.zeros(4, dtype=np.float32), few=1)
    for value in (1.0, -1.0, 1e-20):
        vector = np.full((1, 3000), value, dtype=np.float32)
        np.testing.assert_allclose(sums(vector), 3000 * value, rtol=1e-6)
    assert sums(np.zeros((1, 3000), dtype=np.float32)).tolist() == [[0] * 4]


@pytest.mark.parametrize("size", [1, 7, 255, 256, 257, 3000])
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 2.0])
def test_compiled_draws_are_the_plain_ones(size, temperature):
    generator = np.random.default_rng(size)
    logits = (4 * generator.normal(size=(3, size))).astype(np.float32)
    for _ in range(50):
        noise = generator.random(3)
        expected = Simple(temperature, 0)
        plain = runtime_heads.SoftmaxPrediction(Outputs(), logits)
        drawn = draw_compiled(logits, expected.only, noise)
        np.testing.assert_array_equal(drawn, plain.draw(expected, noise))
    last = draw_compiled(logits, (1.0, 0), np.full(3, np.nextafter(1.0, 0.0)))
    assert (last >= 0).all() and (last < size).all()


def test_it_begins_by_itself_after_so_many_steps(stored, monkeypatch):
    monkeypatch.setattr(runtime, "PATIENCE", 5)
    weights = stored(weights_of(CONFIGS[0]))
    predictor = RuntimePredictor(CONFIGS[0], weights, BOUNDARY)
    state = predictor.start(1)
    for _ in range(3):
        _, state = predictor.step(np.array([1]), state)
    assert not predictor.compiled
    predictor.start(64)  # a step of many streams is one, too
    assert predictor.compiled


@pytest.mark.parametrize("streams", [1, 2, 5, 40])
def test_what_is_compiled_at_once_leaves_nothing_to_compile_later(stored, streams):
    for config in CONFIGS:
        predictor = RuntimePredictor(config, stored(weights_of(config)), BOUNDARY)
        runtime_compiled.compiled.cache_clear()
        predictor.compile_all()
        made = runtime_compiled.compiled.cache_info().misses
        prediction, _ = predictor.step(np.full(streams, 1), predictor.start(streams))
        for rules in (Simple(0.8, 0), Simple(0.8, 3)):
            prediction.draw(rules, np.full(streams, 0.5))
        prediction.of(np.full(streams, 2))
        assert predictor.compiled or config.mogrifier
        assert runtime_compiled.compiled.cache_info().misses == made


def test_without_numba_it_stays_with_numpy_or_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "charlm.predict.runtime_compiled", None)
    monkeypatch.setattr(runtime, "PATIENCE", 1)
    weights = weights_of(CONFIGS[0])
    predictor = RuntimePredictor(CONFIGS[0], weights, BOUNDARY)
    predictor.step(np.array([1]), predictor.start(1))
    assert not predictor.compiled
    with pytest.raises(UsageError, match="numba") as caught:
        RuntimePredictor(CONFIGS[0], weights, BOUNDARY, compiled=True)
    assert caught.value.hint == "pip install 'charlm-toolkit[fast]'"


def test_nothing_of_numba_is_loaded_before_that():
    code = (
        "import sys, numpy as np\n"
        "from charlm.model.shape import NetworkConfig\n"
        "from charlm.predict.runtime import RuntimePredictor\n"
        "config = NetworkConfig(5, 4, 4)\n"
        "weights = {n: np.ones(s, np.float32) for n, s in config.parameter_shapes().items()}\n"
        "predictor = RuntimePredictor(config, weights, 0)\n"
        "predictor.step(np.array([1]), predictor.start(1))\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch):
    def refuse(*signature, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba_njit(*signature, **options)

    numba_njit = compiling.njit
    monkeypatch.setattr(compiling, "njit", refuse)
    runtime_compiled.compiled.cache_clear()
    draw = runtime_compiled.compiled("drawn", False)
    ids = np.empty(1, dtype=np.int64)
    draw(np.zeros((1, 4), dtype=np.float32), 1.0, np.array([0.6]), ids)
    assert ids.tolist() == [2]
    runtime_compiled.compiled.cache_clear()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_that_share_the_streams_change_nothing(both, threads, monkeypatch):
    ids = ids_of(64, 9)
    alone, state = both[1].score(ids, both[1].start(64))
    monkeypatch.setattr(sharing, "count_threads", lambda: threads)
    monkeypatch.setattr(sharing, "WORTH", 0)
    for streams in (64, 63, 17, 9):
        shared, after = both[1].score(ids[:streams], both[1].start(streams))
        np.testing.assert_allclose(shared, alone[:streams], atol=2e-6)
        np.testing.assert_allclose(after.numbers, state.numbers[:streams], atol=1e-6)


def test_a_fault_in_any_thread_is_told(monkeypatch):
    monkeypatch.setattr(sharing, "count_threads", lambda: 3)
    monkeypatch.setattr(sharing, "WORTH", 0)
    predictor = RuntimePredictor(CONFIGS[0], weights_of(CONFIGS[0]), BOUNDARY, compiled=True)
    state = predictor.start(64)
    for place in (0, 20, 63):
        ids = ids_of(64)
        ids[place] = V
        with pytest.raises(IndexError):
            predictor._read(ids, state.numbers)


@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([1, 2, 31, 32, 33, 400]))
def test_a_compiled_softmax_is_the_softmax(seed, streams, vocabulary):
    logits = np.random.default_rng(seed).normal(0, 9, (streams, vocabulary)).astype(np.float32)
    shares = runtime_compiled.softmax_compiled(logits)
    exact = np.exp(logits.astype(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, exact, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    totals = runtime_compiled.log_totals_compiled(logits)
    np.testing.assert_allclose(totals, runtime_heads.log_sum_exp(logits), rtol=1e-6, atol=1e-6)


def test_shares_are_those_of_the_log_probabilities(both):
    ids = ids_of(5, 3)
    for predictor in both:
        state = predictor.score(ids, predictor.start(5))[1]
        expected = np.exp(predictor.prediction(state).log_probs())
        np.testing.assert_allclose(probs_of(predictor.prediction(state)), expected, atol=1e-5)
