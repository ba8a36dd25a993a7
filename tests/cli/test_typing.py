"""Typing with suggestions: keys go in, a text comes out; lines go in, lines of JSON come out."""

import io
import json
import subprocess
import sys
import threading
import time

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

import charlm
from charlm.cli.main import main
from charlm.cli.typing_screen import Typed, type_text
from tests.conftest import SENTENCES

END = "\x04"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    where = tmp_path_factory.mktemp("typed")
    (where / "book.txt").write_text(SENTENCES * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLM_CACHE", str(where / "cache"))
        return charlm.train(
            where / "book.txt", steps=60, hidden=32, threads=1, seed=1, out=where / "model"
        )


def typed(model, *keys, k=3):
    """Type some keys; after a while, in which suggestions appear, the next ones."""
    with create_pipe_input() as own:

        def press():
            for number, some in enumerate(keys):
                time.sleep(0.8 * (number > 0))
                own.send_text(some)
            own.send_text(END)

        hand = threading.Thread(target=press)
        hand.start()
        text = type_text(model.session(), k, own, DummyOutput())
        hand.join()
        return text


def test_what_is_typed_is_the_text(model):
    assert typed(model, "hello wörld") == Typed("hello wörld", 11)
    assert typed(model, "") == Typed("", 0)


def test_what_is_pasted_counts_as_if_it_had_been_typed(model):
    pasted = typed(model, "the \x1b[200~first\r\nsecond\x1b[201~!")
    assert pasted == Typed("the first\nsecond!", 17) and pasted.saved == 0


def test_enter_begins_a_new_line(model):
    assert typed(model, "one\rtwo").text == "one\ntwo"
    assert typed(model, "  one\rtwo") == Typed("  one\ntwo", 9)  # nobody typed blanks before it


def test_an_interrupt_that_is_no_key_keeps_the_text(model, monkeypatch):
    def interrupted(prompt, *given):
        prompt.default_buffer.reset(Document("kept"))
        raise KeyboardInterrupt

    monkeypatch.setattr(PromptSession, "prompt", interrupted)
    assert typed(model).text == "kept"


def test_tab_takes_the_first_word_and_a_space(model):
    first = model.session().suggest("the c", 3).suggestions[0]
    assert typed(model, "the c\t") == Typed("the c" + first.completion + " ", 6)


def test_the_arrows_choose_another(model):
    found = model.session().suggest("the ", 3).suggestions
    texts = {typed(model, "the ", "\x1b[B" * downs, "\t").text for downs in (1, 2, 3)}
    assert texts <= {f"the {one.completion} " for one in found} and len(texts) > 1


def test_a_full_stop_stands_behind_the_word_that_was_taken(model):
    whole = typed(model, "the c\t.").text
    assert whole.endswith(".") and not whole.endswith(" .")
    assert typed(model, "the c .").text == "the c ."  # a space that was typed stays


def test_a_space_typed_behind_the_word_that_was_taken_is_the_one_that_stands_there(model):
    taken = typed(model, "the c\t").text
    assert typed(model, "the c\t x").text == taken + "x"
    assert typed(model, "the c\t  x").text == taken + " x"


def test_keys_saved_are_told():
    assert Typed("a longer text", 4).describe() == "13 characters by 4 keys: 69% saved"
    assert Typed("", 0).saved == 0


def test_without_a_terminal_it_is_refused(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("x"))
    assert main(["type", str(model.directory)]) == 2
    assert "charlm suggest MODEL -" in capsys.readouterr().err


def test_each_line_is_answered_by_a_line(model):
    lines = ["the c", '{"text": "the d", "k": 2}', '{"text": 1}', '{"text": "a", "k": 0}', "", "{x"]
    with subprocess.Popen(
        [sys.executable, "-m", "charlm", "suggest", str(model.directory), "-", "-k", "3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        answers = []
        for line in lines:  # each is answered before the next is sent
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(20) == 0
    expected = model.session().suggest("the c", 3).to_json()
    assert answers[0]["suggestions"][0]["word"] == expected["suggestions"][0]["word"]
    assert len(answers[1]["suggestions"]) == 2
    assert "text" in answers[2]["error"] and "k" in answers[3]["error"]
    assert answers[4]["text"] == "" and answers[5]["text"] == "{x"


def test_bytes_that_are_no_text_are_answered_too(model):
    done = subprocess.run(
        [sys.executable, "-m", "charlm", "suggest", str(model.directory), "-"],
        input=b"\xff\xfe the c\nthe c",
        capture_output=True,
        timeout=60,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(answers) == 2 and answers[0]["suggestions"]
