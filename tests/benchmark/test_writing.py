"""Writing, typing, starting: contestants compute the same, and figures are told as they are."""

import numpy as np
import pytest
import torch

from charlm.benchmark import starting
from charlm.benchmark.aims import FIRST, MANY, STEP, SUGGESTING, WRITING, Aim, Verdict, verdicts
from charlm.benchmark.ceilings import Reading
from charlm.benchmark.clock import median_ratio
from charlm.benchmark.ids import synthetic_ids
from charlm.benchmark.networks import weights_touched, writing_network
from charlm.benchmark.shapes import Shape
from charlm.benchmark.starting import Start, measure_starts, to_first_byte
from charlm.benchmark.textbook import TextbookModel, TextbookWriter
from charlm.benchmark.typing_speed import Typing, keystroke_times, suggester
from charlm.benchmark.ways import BOUNDARY, WAYS, Writer
from charlm.benchmark.writing import (
    KEPT,
    QUICK,
    READING,
    TEXTBOOK,
    WRITTEN,
    WaySpeed,
    Writing,
    _speed,
    race_writing,
)
from charlm.errors import LostProcessError
from charlm.model.shape import NetworkConfig

LARGE = Shape("word", 2, 8, 4, 8, vocab_size=5_000, embed=8)


def network(full, shape=LARGE):
    ids = synthetic_ids(shape.kind, shape.vocab_size)
    return writing_network(shape, full, np.bincount(ids.ids, minlength=shape.vocab_size))


def textbook_of(network):
    """Give the textbook's model the weights of a network."""
    config, weights = network.config, network.weights
    model = TextbookModel(config.vocab_size, config.embed_size, config.hidden_size)
    with torch.no_grad():
        model.embedding.weight.copy_(torch.from_numpy(weights["embedding"]))
        model.decoder.bias.copy_(torch.from_numpy(weights["head.bias"]))
        for layer in range(config.num_layers):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                own = torch.from_numpy(weights[f"stack.layers.{layer}.{kind}"])
                getattr(model.lstm, f"{kind}_l{layer}").copy_(own)
    return model


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_both_predict_the_same_with_the_same_weights(way):
    small = network(full=True)
    textbook, predictor = textbook_of(small).eval(), way.make(small)
    if predictor is None:
        pytest.skip(f"{way.name} is not offered here")
    ids, state = [BOUNDARY, 7, 3, 4_999], predictor.start(1)
    for token in ids[1:]:
        prediction, state = predictor.step(np.array([token]), state)
    with torch.no_grad():
        logs, _ = textbook(torch.tensor(ids)[:, None], textbook.initial_hidden(1))
    ours = prediction.log_probs()[0]
    assert np.allclose(ours, logs[-1].numpy(), atol=1e-4 if way.exact else 0.05)


def test_the_textbook_reads_what_it_wrote_before():
    model = textbook_of(network(full=True))
    writer = TextbookWriter(model, [str(number) for number in range(5_000)], first=3)
    torch.manual_seed(5)
    ids = [3, *map(int, (writer.write(4) + " " + writer.write(3)).split())]
    with torch.no_grad():
        _, hidden = model(torch.tensor(ids[:-1])[:, None], model.initial_hidden(1))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(hidden, writer._hidden, strict=True))


@pytest.mark.parametrize("full", [True, False])
def test_what_is_written_is_as_unevenly_frequent_as_the_ids_given(full):
    ids = synthetic_ids("word", LARGE.vocab_size).ids
    made = network(full)
    assert bool(made.config.cutoffs) != full
    written = Writer(WAYS[0].make(made), 50).write(20)
    assert written.shape == (20, 50)
    edge = 100
    assert np.mean(written < edge) == pytest.approx(np.mean(ids < edge), abs=0.1)


def test_the_weights_a_token_needs_are_counted_by_hand():
    plain = NetworkConfig(vocab_size=50, embed_size=6, hidden_size=4, num_layers=2)
    recurrent = 16 * (1 + 4) + 16 * (4 + 4)  # a row of the table, then both matrices
    assert weights_touched(plain) == recurrent + 4 * 6 + 50 * 6  # tied: E rows, projected
    levels = NetworkConfig(50, 6, 6, num_layers=1, cutoffs=(10, 30))
    assert 24 * 7 + 12 * 6 < weights_touched(levels) < 24 * 7 + 50 * 6


def test_reading_reads_every_number_once():
    reading = Reading(1_000)
    assert reading.bytes == 4_000 and float(reading()) == 1_000.0


@pytest.mark.parametrize("shape", QUICK, ids=lambda shape: shape.name)
def test_a_race_of_writers_in_a_process_of_its_own(shape):
    ids = synthetic_ids(shape.shape.kind, shape.shape.vocab_size)
    found = race_writing(shape, ids, rounds=1, quick=True)
    assert (found.name, found.kind, found.full) == (shape.name, shape.shape.kind, shape.full)
    assert (
        found.textbook > 0
        and found.textbook_kept > 0
        and found.reading > 0
        and found.bytes_per_token > 0
    )
    assert found.ways[0].way == "NumPy"
    for way in found.ways:
        assert way.streams == 4 and way.many > 0 and way.tokens_per_second > 0 and way.share > 0


def test_speeds_and_ratios_are_those_of_the_clock():
    seconds = {
        TEXTBOOK: [8.0, 8.0],
        KEPT: [4.0, 4.0],
        READING: [0.5, 0.5],
        "NumPy 1": [1.0, 2.0],
        "NumPy 64": [4.0, 8.0],  # for a quarter of the tokens, in each of 64 streams
    }
    speed = _speed(WAYS[0], seconds, tokens=120, streams=64)
    assert (
        speed.tokens_per_second == 80
        and (speed.ratio, speed.kept_ratio) == (6.0, 3.0)
        and speed.share == 0.375
    )
    assert speed.many == 64 * 30 / 6 and speed.many_ratio == 64 / 4 / 4
    assert median_ratio(seconds["NumPy 64"], seconds["NumPy 1"]) == 4.0


def way(name="NumPy", exact=True, ratio=20.0, many_ratio=9.0):
    return WaySpeed(name, exact, 1.0, ratio, ratio / 2, 64, 1.0, many_ratio, 0.5)


def test_an_aim_is_for_float32_and_its_stretch_for_any_way():
    ways = [way(ratio=13), way("int8", exact=False, ratio=41)]
    [one, *_] = verdicts([Writing("x", "char", True, 1, 1, 1, 1, ways)], [], [])
    assert one.aim == WRITING["char", True] and one.met and one.stretched
    assert (one.found, one.best, one.way) == (13, 41, "int8")
    [slow, *_] = verdicts(
        [Writing("x", "word", True, 1, 1, 1, 1, [*ways[1:], way(ratio=9)])], [], []
    )
    assert not slow.met and slow.found == 9 and slow.to_json()["met"] is False


def test_every_aim_is_judged_and_the_quicker_is_the_better_for_seconds():
    typed = [Typing("m", kind, "best", 9, 0.001, p95, 0.0001, 1, 1) for kind, p95 in KINDS.items()]
    starts = [Start(command, "char", 0.1, 0.2) for command in FIRST]
    writing = [Writing(s.name, s.shape.kind, s.full, 1, 1, 1, 1, [way()]) for s in WRITTEN]
    found = verdicts(writing, typed, starts)
    aims = {*WRITING.values(), MANY, STEP, *SUGGESTING.values(), *FIRST.values()}
    assert {one.aim for one in found} == aims
    by_name = {one.aim: one for one in found}
    assert by_name[SUGGESTING["char"]].met and not by_name[SUGGESTING["bpe"]].met
    assert by_name[FIRST["generate"]].met and not by_name[FIRST["--help"]].met
    assert by_name[STEP].stretched is None and by_name[MANY].met
    assert not Verdict(Aim("x", 1, "s"), 1.1, 1.1, "").met


KINDS = {"char": 0.009, "bpe": 0.021}


def test_every_keystroke_is_timed_with_what_stands_before_it():
    asked = []
    times = keystroke_times(asked.append, "abcdef", before=2)
    assert asked == ["ab", "abc", "abcd", "abcde", "abcdef"] and len(times) == 4


def test_suggestions_come_from_a_session_where_there_is_one():
    class Session:
        def suggest(self, text, k):
            return ("session", text, k)

    class Without:
        def suggestions(self, text, k):
            return ("model", text, k)

    class With(Without):
        session = Session

    assert suggester(Without())("a") == ("model", "a", 5)
    assert suggester(With())("a") == ("session", "a", 5)


def test_a_start_is_timed_to_its_first_byte_and_silence_is_an_error():
    quick = "import sys, time; print(1, flush=True); time.sleep(60)"
    assert 0 < to_first_byte(["-c", quick]) < 30
    with pytest.raises(LostProcessError, match="no such thing"):
        to_first_byte(["-c", "raise SystemExit('no such thing')"])


def test_what_is_started_is_compiled_once_as_an_installed_program_is(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "program.py").write_text("print(1)")
    monkeypatch.syspath_prepend(str(tmp_path))
    to_first_byte(["-c", "import program"])
    assert list((tmp_path / "__pycache__").glob("program.*"))


def test_starts_are_taken_in_turn_and_the_first_round_does_not_count(monkeypatch):
    taken = iter(float(number) for number in range(100))
    monkeypatch.setattr(starting, "to_first_byte", lambda words: next(taken))
    found = measure_starts([("char", "here")], rounds=2)
    assert [(start.command, start.kind) for start in found] == [
        ("python alone", ""),
        ("--help", ""),
        ("--version", ""),
        ("generate", "char"),
        ("suggest", "char"),
    ]
    assert (found[0].least, found[0].median) == (5.0, 7.5)
