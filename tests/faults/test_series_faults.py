"""Series runs, like those on text: killed, stopped or short of disk anywhere, they end alike."""

import random

import pytest

from tests.faults.forge import outcome

SMALL = ["--hidden", 8, "--embed", 4, "--bptt", 16, "--steps", 24, "--save-every", 5]
SMALL += ["--dropout", 0.2, "--layers", 2, "--threads", 1]
CELLS = ["lstm", "gru", "rnn"]


@pytest.fixture(scope="module")
def table(forge):
    path = forge.folder / "waves.csv"
    rows = [f"{n % 17 + n / 50},{(n * 7) % 23}" for n in range(400)]
    path.write_text("a,b\n" + "\n".join(rows) + "\n")
    return path


def words_of(table, cell, out):
    return ["series", "train", table, "--cell", cell, *SMALL, "--out", out, "--resume"]


@pytest.fixture(scope="module")
def references(forge, table):
    kept = {}

    def reference(cell):
        if cell not in kept:
            out = forge.folder / f"reference-series-{cell}"
            assert forge.run(*words_of(table, cell, out))[0] == 0
            kept[cell] = outcome(out)
        return kept[cell]

    return reference


@pytest.mark.parametrize("cell", CELLS)
def test_killed_anywhere_a_series_run_ends_bit_identical(forge, references, table, cell, tmp_path):
    draw = random.Random(cell)
    out = tmp_path / "run"
    for _ in range(4):
        place, most = draw.choice([("step", 24), ("loss", 24), ("operation", 130)])
        fault = {"at": place, "number": draw.randint(1, most), "does": "kill"}
        code, log, fired = forge.run(*words_of(table, cell, out), fault=fault)
        assert code == (137 if fired else 0), log
    code, log, _ = forge.run(*words_of(table, cell, out))
    assert code == 0, log
    assert outcome(out) == references(cell)


@pytest.mark.parametrize(("signal", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_saves_and_leaves_a_model_that_forecasts(forge, table, tmp_path, signal, code):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 11, "does": signal}
    got, log, _ = forge.run(*words_of(table, "lstm", out), fault=fault)
    assert got == code and "Traceback" not in log
    assert forge.run("series", "forecast", out, "--horizon", 3)[0] == 0


@pytest.mark.parametrize("number", [1, 9, 40])
def test_a_full_disk_is_said_and_the_run_goes_on_later(forge, references, table, tmp_path, number):
    out = tmp_path / "run"
    fault = {"at": "operation", "number": number, "does": "ENOSPC", "persistent": True}
    code, log, fired = forge.run(*words_of(table, "gru", out), fault=fault)
    assert fired and code == 5 and "Traceback" not in log
    code, log, _ = forge.run(*words_of(table, "gru", out))
    assert code == 0, log
    assert outcome(out) == references("gru")


def test_steps_without_a_finite_gradient_are_skipped(forge, table, tmp_path):
    fault = {"at": "loss", "number": 6, "does": "nan"}
    code, log, _ = forge.run(*words_of(table, "lstm", tmp_path / "run"), fault=fault)
    assert code == 0 and "steps skipped" in log
