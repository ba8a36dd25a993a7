"""Simon Willison's `llm`: prompts are continued, names are kept, mistakes are a line."""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from charlm import load
from charlm.adapters.names import FILE, Names
from charlm.adapters.prompting import VARIABLE, continue_text, whole_text
from charlm.errors import ModelError, UsageError

PACKAGE = Path(__file__).parents[2] / "charlm"


@pytest.fixture(autouse=True)
def no_model_in_the_environment(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_text_is_continued_as_charlm_continues_it(model, monkeypatch):
    options = {"max_tokens": 12, "seed": 4, "temperature": 0.7, "top_p": None}
    pieces = list(continue_text("the cat", model, options))
    given = {name: value for name, value in options.items() if value is not None}
    assert "".join(pieces) == load(model).generate("the cat", **given) and len(pieces) > 1
    monkeypatch.setenv(VARIABLE, model)
    assert "".join(continue_text("the cat", None, options)) == "".join(pieces)
    network = "".join(continue_text("the cat", None, options, "network"))
    assert network == load(model, predictor="network").generate("the cat", **given)


def test_without_a_model_it_says_how_to_name_one():
    with pytest.raises(UsageError, match="no model is named") as wrong:
        list(continue_text("the", None, {}))
    assert VARIABLE in wrong.value.hint


def test_a_conversation_is_one_text():
    def message(*parts):
        return SimpleNamespace(parts=[SimpleNamespace(**part) for part in parts])

    said = [message({"text": "Once "}), message({"text": "upon"}, {"url": "x"}), message({})]
    assert whole_text(said) == "Once upon"


def test_names_are_kept_and_forgotten(model, tmp_path):
    names = Names(tmp_path / "llm")
    assert names.all() == {}
    names.add("book", model)
    names.add("other", model)
    assert Names(tmp_path / "llm").all() == {"book": model, "other": model}
    names.remove("book")
    assert json.loads((tmp_path / "llm" / FILE).read_text()) == {"other": model}
    with pytest.raises(UsageError) as wrong:
        names.remove("othe")
    assert wrong.value.hint == "did you mean 'other'?"


def test_names_that_cannot_be_are_refused(model, tmp_path):
    names = Names(tmp_path)
    for name in ("", "a b", "a\nb", "a\x00"):
        with pytest.raises(UsageError, match="a name is one word"):
            names.add(name, model)
    with pytest.raises(ModelError, match="there is no model"):
        names.add("book", str(tmp_path / "none"))
    assert not (tmp_path / FILE).exists()
    for damage in ("[1]", '{"a": 1}', "{"):
        (tmp_path / FILE).write_text(damage)
        with pytest.raises(ModelError):
            names.all()


@pytest.fixture
def llm(monkeypatch, tmp_path):
    """Put the least of `llm` that the plugin needs in its place."""
    pytest.importorskip("click")
    pydantic = pytest.importorskip("pydantic")
    module = ModuleType("llm")

    class Options(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")

    module.Options, module.Model = Options, type("Model", (), {})
    module.Prompt = module.Response = object
    module.ModelError = type("ModelError", (Exception,), {})
    module.hookimpl = lambda function: function
    module.user_dir = lambda: tmp_path
    monkeypatch.setitem(sys.modules, "llm", module)
    monkeypatch.delitem(sys.modules, "charlm.adapters.llm_plugin", raising=False)
    yield importlib.import_module("charlm.adapters.llm_plugin")
    sys.modules.pop("charlm.adapters.llm_plugin", None)


def registered(plugin):
    found = {}
    plugin.register_models(lambda model: found.setdefault(model.model_id, model))
    return found


def ask(asked, text, **options):
    messages = [SimpleNamespace(parts=[SimpleNamespace(text=text)])]
    prompt = SimpleNamespace(options=asked.Options(**options), messages=messages)
    return "".join(asked.execute(prompt, True, None, None))


def test_the_plugin_registers_what_has_a_name_and_continues(llm, model, tmp_path):
    Names(tmp_path).add("book", model)
    models = registered(llm)
    assert list(models) == ["charlm", "charlm/book"]
    expected = load(model).generate("the", max_tokens=9, seed=2)
    assert ask(models["charlm/book"], "the", max_tokens=9, seed=2) == expected
    assert ask(models["charlm"], "the", max_tokens=9, seed=2, model=model) == expected


def test_its_mistakes_are_those_of_llm(llm, tmp_path):
    (tmp_path / FILE).write_text("{")
    assert list(registered(llm)) == ["charlm"], "a damaged list keeps nobody from work"
    with pytest.raises(sys.modules["llm"].ModelError, match="no model is named"):
        ask(registered(llm)["charlm"], "the")


def test_names_are_looked_up_without_what_a_model_needs():
    code = "import sys, charlm.adapters.names; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_entry_point_is_there():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    points = {**project["entry-points"]["llm"], **project["entry-points"]["lm_eval.models"]}
    for point in points.values():
        module, _, name = point.partition(":")
        source = (PACKAGE.parent / (module.replace(".", "/") + ".py")).read_text()
        assert f"class {name}(" in source or not name
        assert name or "@llm.hookimpl" in source


def test_its_commands_give_names(llm, model, tmp_path):
    from click.testing import CliRunner

    def run(*words):
        done = CliRunner().invoke(llm.naming, words)
        return done.exit_code, done.output

    assert run("add", "book", model) == (0, "llm -m charlm/book\n")
    assert run("list") == (0, f"charlm/book\t{model}\n")
    assert run("add", "x", str(tmp_path / "none"))[0] == 1
    code, said = run("remove", "bok")
    assert code == 1 and "did you mean 'book'?" in said and "Traceback" not in said
    assert run("remove", "book") == (0, "") and run("list") == (0, "")


@pytest.mark.filterwarnings("ignore")  # llm's own
def test_llm_itself_streams_a_continuation(model, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    llm = pytest.importorskip("llm")
    from charlm.adapters.llm_plugin import CharlmModel

    asked = CharlmModel("book", model)
    options = {"max_tokens": 9, "seed": 2}
    talk = asked.conversation()
    first = talk.prompt("the", **options)
    lm = load(model)
    assert "".join(first) == lm.generate("the", **options)
    second = talk.prompt(" and", **options).text()
    assert second == lm.generate(f"the{first.text()} and", **options)
    with pytest.raises(llm.ModelError, match="top-p"):
        asked.prompt("the", top_p=7.0).text()
