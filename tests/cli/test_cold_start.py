"""What a command loads before it does anything: nothing that it does not need.

Times depend on the machine; what is loaded does not, and it is what the time is spent on.
"""

import json
import os
import subprocess
import sys

import pytest

from charlm.cli.commands import COMMANDS, GROUPS
from charlm.cli.main import main

LOADED = (
    "import json, os, sys\n"
    "from charlm.cli.main import main\n"
    "try: code = main(sys.argv[1:])\n"
    "except SystemExit: code = 0\n"
    "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    "sys.exit(code)\n"
)
HEAVY = {
    *(
        "datasets",
        "llvmlite",
        "matplotlib",
        "numba",
        "openai",
        "optuna",
        "pandas",
        "prompt_toolkit",
    ),
    *("pyarrow", "scipy", "starlette", "torch", "tqdm", "uvicorn"),
}
LIGHT = {"charlm", "charlm.errors", "charlm.options", "charlm.version", "charlm.cli"}
LIGHT |= {f"charlm.cli.{name}" for name in ("main", "commands", "parser", "signals")}
NOT_FOR_ONE_TEXT = {
    *("charlm.cli.train", "charlm.language.corpus", "charlm.language.fit"),
    *("charlm.language.request", "charlm.language.training_text", "charlm.text.preparation"),
    *("charlm.tuning", "charlm.series", "charlm.serving", "charlm.benchmark"),
}


THREADS = LOADED.replace("sorted(sys.modules)", "os.environ.get('OPENBLAS_NUM_THREADS')")


def told(code, *words, **environment):
    """Run a command line in a process of its own; give what is said of it in the end."""
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


def loaded(*words):
    return set(told(LOADED, *words))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cold")
    (folder / "book.txt").write_text("the cat sat on the mat and the dog sat too\n" * 60)
    small = ["--steps", "5", "--hidden", "8", "--embed", "8", "--batch", "4", "--bptt", "16"]
    out = str(folder / "run")
    assert main(["train", str(folder / "book.txt"), "--out", out, *small, "--threads", "1"]) == 0
    return out


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_and_version_load_no_command(words):
    modules = loaded(*words)
    assert {name for name in modules if name.split(".")[0] == "charlm"} == LIGHT
    assert not modules & (HEAVY | {"numpy", "tokenizers", "safetensors"})


@pytest.mark.parametrize("name", ["suggest", "generate", "type", "score", "serve", "eval"])
def test_help_of_a_command_loads_that_command_alone(name):
    modules = loaded(name, "--help")
    own = {f"charlm.cli.{command.module}" for command in COMMANDS.values()}
    assert modules & own == {f"charlm.cli.{COMMANDS[name].module}"}
    assert "numpy" not in modules


@pytest.mark.parametrize("words", [["generate", "--max-tokens", "3"], ["suggest"]])
def test_a_continuation_and_suggestions_load_only_what_they_need(model, words):
    modules = loaded(*words, model, "the c")
    assert "numpy" in modules and "charlm.predict.runtime" in modules
    assert not modules & (HEAVY | NOT_FOR_ONE_TEXT)


def test_numpy_gets_one_thread_unless_somebody_wants_more(model, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert told(THREADS, "suggest", model) == "1"
    assert told(THREADS, "generate", model, "--threads", "2", "--max-tokens", "1") == "2"
    assert told(THREADS, "suggest", model, OMP_NUM_THREADS="2") is None
    assert told(THREADS, "suggest", model, "--threads", "2", OPENBLAS_NUM_THREADS="3") == "3"


def test_every_command_has_a_module_with_what_it_needs():
    below = [command for group in GROUPS.values() for command in group.commands.values()]
    for command in (*COMMANDS.values(), *below):
        module = command.load()
        assert module.__doc__ and callable(module.run) and callable(module.add_arguments)
