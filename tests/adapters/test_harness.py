"""lm-evaluation-harness: its requests are answered with what charlm itself says of the texts."""

import importlib
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from charlm import load
from charlm.adapters import harness
from charlm.adapters.harness import Harness, generation_options
from charlm.adapters.lm_eval import main
from charlm.errors import ModelError, UsageError

PAIRS = [
    ("the cat", " sat on"),
    ("the cat", " ran"),
    ("", "the dog"),
    ("the c", "at sat"),
    ("it's a ", "cat; it"),
    ("the mat and ", ""),
]
TEXTS = ["the cat sat", "", "a log", "the dog sat on the mat\nand on"]


def asking(*all_arguments):
    return [SimpleNamespace(args=arguments) for arguments in all_arguments]


def in_process(lm, context, continuation):
    """Score what a continuation adds, token by token, by the step of the predictor."""
    whole, before = (
        lm.tokenizer.encode(text).tolist() for text in (context + continuation, context)
    )
    border = 0
    while border < min(len(whole), len(before)) and whole[border] == before[border]:
        border += 1
    scores = [0.0, *(-lm.score(lm.tokenizer.decode(whole[:end])) for end in (border, len(whole)))]
    return scores[2] - scores[1] if border else scores[2]


@pytest.mark.parametrize("many", [harness.MANY, 1], ids=["NumPy", "PyTorch"])
def test_sums_are_those_of_scores_in_process(model, many, monkeypatch):
    monkeypatch.setattr(harness, "MANY", many)
    lm, tested = load(model), Harness(model, threads=1)
    for pair, (nats, _) in zip(PAIRS, tested.scores_of_pairs(asking(*PAIRS)), strict=True):
        assert nats == pytest.approx(in_process(lm, *pair), rel=1e-4, abs=1e-6), pair
    texts = tested.scores_of_texts(asking(*((text,) for text in TEXTS)))
    assert texts == pytest.approx([-lm.score(text) for text in TEXTS], rel=1e-4)


def test_what_greedy_writing_writes_is_greedy(model):
    tested = Harness(model)
    [written] = tested.continuations(asking(("the ", {"max_gen_toks": 6})))
    lm = load(model, predictor="network")
    assert written == lm.generate("the ", max_tokens=6, temperature=0)
    if lm.tokenizer.kind == "char":  # of other tokenizers' texts the ids may be cut otherwise
        answers = tested.scores_of_pairs(asking(("the ", written), ("the ", written[:-1] + "#")))
        assert [greedy for _, greedy in answers] == [True, False]


def test_a_continuation_is_the_same_alone_and_beside_others(model):
    asked = [
        ("the cat", {"until": "\n", "max_gen_toks": 20}),
        ("", {"max_gen_toks": 9, "do_sample": True, "temperature": 0.7, "seed": 3}),
        ("on the", {"until": ["mat", ""], "max_gen_toks": 30}),
        ("it", {"max_gen_toks": 0}),
    ]
    tested, lm = Harness(model, predictor="best", batch_size=3), load(model)
    together = tested.continuations(asking(*asked))
    assert together == [tested.continuations(asking(one))[0] for one in asked]
    assert together == [lm.generate(context, **generation_options(o)) for context, o in asked]
    assert "mat" not in together[2] and together[3] == ""


def test_options_take_the_names_that_tests_use():
    assert generation_options({}) == {"temperature": 0.0, "stop": [], "max_tokens": 256}
    given = {"until": ["a", ""], "max_gen_toks": 5, "do_sample": False, "temperature": 0.9}
    assert generation_options(given) == {"temperature": 0.0, "stop": ["a"], "max_tokens": 5}
    sampled = generation_options({"do_sample": True, "top_p": 0.5, "temperature": None})
    assert sampled == {"temperature": 1.0, "top_p": 0.5, "stop": [], "max_tokens": 256}


def test_mistakes_are_said(model):
    with pytest.raises(ModelError, match="there is no model"):
        Harness("/nowhere")
    for wrong in ({"batch_size": "many"}, {"batch_size": 0}, {"device": "cuda:1"}):
        with pytest.raises(UsageError):
            Harness(model, **wrong)
    with pytest.raises(UsageError, match="tempratur"):
        Harness(model).continuations(asking(("the", {"tempratur": 1})))


def test_without_the_harness_its_command_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("charlm.adapters.lm_eval.find_spec", lambda name: None)
    assert main() == 2
    assert "pip install lm-eval" in capsys.readouterr().err


class CacheHook:
    """The harness's own cache, as it stands behind its LM."""

    def __init__(self):
        self.kept = []

    def add_partial(self, kind, arguments, answer):
        self.kept.append((kind, arguments, answer))


@pytest.fixture
def stand_in(monkeypatch):
    """Put the least of the harness that the adapter needs in its place; give the adapter."""

    class LM:
        def __init__(self):
            self.cache_hook = CacheHook()

    registered = {}

    def register_model(name):
        return lambda cls: registered.setdefault(name, cls)

    modules = {name: ModuleType(name) for name in ("lm_eval", "lm_eval.api")}
    modules["lm_eval.api.model"] = SimpleNamespace(LM=LM)
    modules["lm_eval.api.registry"] = SimpleNamespace(register_model=register_model)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "charlm.adapters.harness_model", raising=False)
    adapter = importlib.import_module("charlm.adapters.harness_model")
    yield registered["charlm"]
    sys.modules.pop("charlm.adapters.harness_model", None)
    assert adapter.CharlmLM is registered["charlm"]


def test_the_three_kinds_of_requests_are_answered_and_kept(model, stand_in):
    adapter = stand_in(pretrained=model, batch_size=1, max_batch_size=None, device="cuda:0")
    pairs, texts = asking(*PAIRS), asking(("the cat",))
    written = asking(("the", {"max_gen_toks": 3}))
    answers = [
        ("loglikelihood", pairs, adapter.loglikelihood(pairs)),
        ("loglikelihood_rolling", texts, adapter.loglikelihood_rolling(texts)),
        ("generate_until", written, adapter.generate_until(written)),
    ]
    expected = [
        (kind, request.args, answer)
        for kind, requests, found in answers
        for request, answer in zip(requests, found, strict=True)
    ]
    assert adapter.cache_hook.kept == expected


TASK = """
task: tiny
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{data}"}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
"""


@pytest.mark.filterwarnings("ignore")  # the harness's own
def test_the_harness_itself_runs_a_test(model, tmp_path, monkeypatch):
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from lm_eval import simple_evaluate
    from lm_eval.api.registry import get_model
    from lm_eval.tasks import TaskManager

    from charlm.adapters.harness_model import CharlmLM

    assert get_model("charlm") is CharlmLM
    texts = [text for text in TEXTS if text]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (tmp_path / "tiny.yaml").write_text(TASK.format(data=data))
    tasks = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = simple_evaluate(
        "charlm", model_args=f"pretrained={model}", tasks=["tiny"], task_manager=tasks
    )
    lm = load(model)
    bits = sum(lm.score(text) for text in texts) / sum(map(len, texts)) / 0.6931471805599453
    assert found["results"]["tiny"]["bits_per_byte,none"] == pytest.approx(bits, rel=1e-4)
