"""A model that adapts as it reads: its files, its names, and how it is tuned."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

import charlm
from charlm.cli.main import main
from charlm.errors import ModelError, UsageError
from charlm.language.adapting import ADAPTATION, PLAIN, RESERVE, TUNED, read_tuned
from charlm.language.combination import ADAPTING, NAMES, Combination, check_name, names_shown
from charlm.language.tailoring import FEWEST_TOKENS, tailor
from charlm.predict.adaptation import Adaptation

SENTENCES = ["the cat sat on the mat", "a dog ate the old bone", "we saw no cat by the log"]
GERMAN = "Zwei Katzen jagen drei Hunde um das Haus. "
OTHER, TUNED_ON = GERMAN * 40, GERMAN * 25


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapting")
    random = np.random.default_rng(0)
    lines = [SENTENCES[k] for k in random.integers(len(SENTENCES), size=900)]
    (folder / "book.txt").write_text("\n".join(lines) + "\n")
    options = {"steps": 40, "hidden": 16, "embed": 8, "batch": 8, "bptt": 16, "threads": 1}
    charlm.train(folder / "book.txt", out=str(folder / "run"), tokenizer="char", **options)
    return folder / "run"


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "model")


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory):
    """Tune a copy without a text; give it, and what was found."""
    copy = shutil.copytree(trained, tmp_path_factory.mktemp("tuned") / "model")
    return copy, tailor(charlm.load(copy))


@pytest.fixture
def command(capsys):
    def run(*words):
        code = main([*map(str, words), "--threads", "1"])
        return (code, *capsys.readouterr())

    return run


def test_training_keeps_the_reserve_and_the_sizes_of_the_gradients(trained):
    arrays = safetensors.numpy.load((trained / ADAPTATION).read_bytes())
    lm = charlm.load(trained)
    assert arrays.keys() - {RESERVE} == lm.parts.shape.parameter_shapes().keys()
    assert (arrays["embedding"] >= 0).all() and arrays["embedding"].max() > 0
    ids = lm.tokenizer.encode((trained.parent / "book.txt").read_text())
    reserve = arrays[RESERVE][:-1]  # the last is the boundary
    found = [at for at in range(len(ids) - len(reserve)) if (ids[at : at + 9] == reserve[:9]).all()]
    assert any((ids[at : at + len(reserve)] == reserve).all() for at in found)


def test_an_evaluation_shows_those_that_adapt_where_one_is_asked_for(trained):
    lm = charlm.load(trained)
    still, adapted = lm.evaluate(OTHER), lm.evaluate(OTHER, predictor="network+adapt")
    assert adapted.predictor == "network+adapt"
    assert adapted.bits_per_byte < 0.9 * still.bits_per_byte
    assert set(adapted.by_predictor) - set(still.by_predictor) <= set(ADAPTING)
    assert {name: one.nats for name, one in still.by_predictor.items()} == pytest.approx(
        {name: adapted.by_predictor[name].nats for name in still.by_predictor}, rel=1e-6
    )


@pytest.mark.parametrize("name", ADAPTING)
def test_its_score_beside_the_others_is_its_own(trained, name):
    lm = charlm.load(trained, predictor=name)
    ids = lm.tokenizer.encode(OTHER)[None, :300]
    nats, _ = lm.predictor.score(ids, lm.predictor.start(1))
    text = lm.tokenizer.decode(ids[0].tolist())
    shown = lm.evaluate(text, predictor=name).by_predictor[name].nats
    assert shown == pytest.approx(float(nats.sum()), rel=1e-4)


def test_documents_are_read_one_at_a_time_each_from_the_trained_weights(trained, tmp_path):
    (tmp_path / "a.txt").write_text(OTHER[:200])
    (tmp_path / "b.txt").write_text(OTHER[200:500])
    lm = charlm.load(trained)
    both = lm.evaluate(path=[tmp_path / "a.txt", tmp_path / "b.txt"], predictor="network+adapt")
    each = [lm.evaluate(path=tmp_path / f"{n}.txt", predictor="network+adapt") for n in "ab"]
    assert both.nats == pytest.approx(sum(one.nats for one in each), rel=1e-5)
    [line] = lm.score_lines([OTHER[:200]], "network+adapt")
    assert line.nats == pytest.approx(each[0].nats, rel=1e-4)
    assert len(lm.score_lines([OTHER[:50]] * 300, "network+adapt")) == 300


def test_it_generates_and_suggests_as_many_as_are_asked_for(trained):
    lm = charlm.load(trained, predictor="best+adapt")
    prompt = SENTENCES[0] * 3
    one = lm.generate(prompt, max_tokens=40, seed=3)
    assert lm.samples(prompt, 3, max_tokens=40, seed=3)[0].text == one
    assert len(lm.suggest("the c", k=3)) == 3


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("network+adapt", "network+adapt"),
        ("adapt+network", "network+adapt"),
        ("best+adapt", "network+counts+adapt"),
        ("cache+network+adapt", "network+cache+adapt"),
    ],
)
def test_names(asked, name):
    assert check_name(asked, Combination(best="network+counts")) == name


def test_where_counts_alone_are_the_best_the_network_is_mixed_in_to_adapt():
    assert check_name("best+adapt", Combination(best="counts")) == "network+counts+adapt"


@pytest.mark.parametrize("name", ["adapt", "counts+adapt", "network+adapt+adapt", "networkadapt"])
def test_names_of_no_predictor(name):
    with pytest.raises(UsageError):
        check_name(name, Combination())


def test_a_model_without_counts_adapts_too():
    assert check_name("network+adapt", None) == "network+adapt"
    assert names_shown("network+adapt", None) == ["network", "network+adapt"]
    with pytest.raises(UsageError, match="no counts"):
        check_name("network+cache+adapt", None)


def test_one_trained_before_there_was_such_a_file_takes_plain_steps(model):
    manifest = json.loads((model / "MANIFEST.json").read_text())
    del manifest["files"][ADAPTATION]
    (model / ADAPTATION).unlink()
    (model / "MANIFEST.json").write_text(json.dumps(manifest))
    lm = charlm.load(model)
    assert lm.parts.adapting.adaptation == PLAIN
    assert lm.evaluate(OTHER, predictor="network+adapt").nats > 0


def test_tuning_keeps_what_it_found_with_the_model(model, tmp_path):
    (tmp_path / "other.txt").write_bytes(TUNED_ON.encode() + b"a cat\xe9\n")
    lm, told = charlm.load(model), []
    before = lm.evaluate(OTHER, predictor="network+adapt").nats
    weights = (model / "model.safetensors").read_bytes()
    found = tailor(lm, [str(tmp_path / "other.txt")], tell=told.append)
    assert found.nats_per_token["network+adapt"] < found.nats_per_token["network"]
    assert set(found.nats_per_token) == {*NAMES, *ADAPTING} and len(told) >= 4
    assert "1 invalid bytes became U+FFFD" in told[0]
    again = charlm.load(model)
    assert again.parts.adapting.adaptation == found.tuned.adaptation != Adaptation()
    assert again.combination == found.tuned.combination
    assert again.evaluate(OTHER, predictor="network+adapt").nats < before
    assert (model / "model.safetensors").read_bytes() == weights
    assert charlm.load(model).evaluate("the cat").nats == lm.evaluate("the cat").nats


def test_without_a_text_the_reserve_is_tuned_on(tuned):
    model, found = tuned
    arrays = safetensors.numpy.load((model / ADAPTATION).read_bytes())
    assert found.tokens == len(arrays[RESERVE])


def test_what_was_tuned_for_other_weights_counts_for_nothing(model, tuned):
    value = json.loads((tuned[0] / TUNED).read_text())
    (model / TUNED).write_text(json.dumps(value))
    assert charlm.load(model).parts.adapting.adaptation == tuned[1].tuned.adaptation
    (model / TUNED).write_text(json.dumps(value | {"weights_sha256": "0" * 64}))
    assert read_tuned(model) is None
    assert charlm.load(model).parts.adapting.adaptation == Adaptation()


@pytest.mark.parametrize(
    "damage",
    ["", "[]", "{", '{"adaptation": {"rate": "0.1"}}', '{"adaptation": {"rate": 1e999}}'],
)
def test_a_damaged_file_of_what_was_tuned_is_refused(model, damage):
    if damage.startswith('{"a'):
        digest = json.loads((model / "MANIFEST.json").read_text())["files"]["model.safetensors"]
        damage = damage[:-1] + f', "weights_sha256": "{digest["sha256"]}"}}'
    (model / TUNED).write_text(damage)
    with pytest.raises(ModelError, match=TUNED):
        charlm.load(model)


@pytest.mark.parametrize("damage", ["another model's", "negative", "ids", "missing one"])
def test_a_damaged_file_of_scales_is_refused_when_it_is_needed(model, damage):
    arrays = safetensors.numpy.load((model / ADAPTATION).read_bytes())
    if damage == "another model's":
        arrays["embedding"] = arrays["embedding"][:-1].copy()
    elif damage == "negative":
        arrays["head.bias"][0] = -1
    elif damage == "ids":
        arrays[RESERVE][0] = 10**6
    else:
        del arrays["head.bias"]
    (model / ADAPTATION).write_bytes(safetensors.numpy.save(arrays))
    with pytest.raises(ModelError, match=ADAPTATION):
        _ = charlm.load(model).parts.adapting


def test_the_command_tunes_and_the_others_take_the_option(command, model, tmp_path):
    (tmp_path / "other.txt").write_text(TUNED_ON)
    code, out, err = command("adapt", model, tmp_path / "other.txt", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["tokens"] == len(TUNED_ON) and found["rate"] > 0 and "network" in found["best"]
    _, out, _ = command("eval", model, tmp_path / "other.txt", "--adapt", "--json")
    assert json.loads(out)["predictor"] == "network+adapt"
    _, out, _ = command("score", model, tmp_path / "other.txt", "--adapt", "--ngram", "--json")
    assert json.loads(out)["nats"] > 0


def test_too_little_text_to_tune_on_is_said(command, model, tmp_path):
    (tmp_path / "short.txt").write_text("too short")
    code, _, err = command("adapt", model, tmp_path / "short.txt")
    assert code == 3 and str(FEWEST_TOKENS) in err
    assert not (model / TUNED).exists()
    assert command("adapt", model, tmp_path / "none.txt")[0] == 3
    assert command("adapt", tmp_path / "none")[0] == 4


def test_what_was_compressed_before_is_still_decoded_after_tuning(model, tuned):
    data = charlm.load(model).compress(OTHER.encode())
    shutil.copy(tuned[0] / TUNED, model)
    assert charlm.load(model).decompress(data) == OTHER.encode()


def test_one_rate_for_all_weights_can_be_chosen(model, tmp_path, capsys):
    (tmp_path / "other.txt").write_text(TUNED_ON)
    assert main(["adapt", str(model), str(tmp_path / "other.txt"), "--rule", "sgd", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rule"] == "sgd"
    assert found["nats_per_token"]["network+adapt"] < found["nats_per_token"]["network"]
    tuned = json.loads((model / "tuned.json").read_text())["adaptation"]
    assert tuned["rule"] == "sgd" and tuned["rate"] == found["rate"]
    own = charlm.load(model).parts.adapting
    assert own.adaptation.rule == "sgd"
    assert {rate.numel() for rate in own._rates.values()} == {1}
    tuned |= {"rule": "adam"}
    whole = json.loads((model / "tuned.json").read_text()) | {"adaptation": tuned}
    (model / "tuned.json").write_text(json.dumps(whole))
    assert main(["eval", str(model)]) == 4


def test_what_the_best_combination_costs_in_time_is_recorded(trained, capsys):
    lm = charlm.load(trained)
    speeds = lm.config["run"]["tokens_per_second"]
    assert list(speeds) == list(dict.fromkeys(["network", lm.name]))
    assert all(speed > 0 for speed in speeds.values())
    assert main(["info", str(trained), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tokens_per_second"] == speeds[lm.name]
    assert "that one stream writes" in (trained / "README.md").read_text()
