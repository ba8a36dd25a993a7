"""A server's clients, one and many: the tokens that they count are those that it wrote."""

import http.server
import threading

import pytest

from charlm.benchmark.aims import SERVING, verdicts
from charlm.benchmark.clients import complete_all
from charlm.benchmark.serving_speed import (
    STREAMED,
    WHOLE,
    Serving,
    ask_here,
    body_of,
    measure_serving,
    served,
    speeds_of,
)
from charlm.errors import LostProcessError
from charlm.language.fit import fit
from charlm.language.request import TrainRequest

pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat\n\nand so it goes on\n" * 400)
    small = {"steps": 3, "hidden": 8, "embed": 8, "batch": 4, "bptt": 8, "threads": 1}
    request = TrainRequest(tokenizer="char", out=str(folder / "model"), **small)
    return str(fit([str(text)], request).model.directory)


@pytest.fixture(scope="module")
def port(model):
    with served(model, "--predictor", "network") as port:
        yield port


@pytest.mark.parametrize("how", [WHOLE, STREAMED])
def test_the_tokens_of_many_clients_are_those_of_each(port, how):
    bodies = [body_of(how, 5 + seed, seed) for seed in range(6)]
    alone = [complete_all(port, [body]) for body in bodies]
    assert all(0 < tokens <= 5 + seed for seed, tokens in enumerate(alone))
    assert complete_all(port, bodies) == sum(alone)


def test_both_ways_are_asked_by_one_and_by_many(port):
    found = ask_here({"port": port, "rounds": 1, "clients": 3, "quick": True})
    names = {f"{clients} {how}" for clients in (1, 3) for how in (WHOLE, STREAMED)}
    assert set(found) == names and all(speed > 0 for [speed] in found.values())


def test_a_server_is_measured_with_its_best_predictor_and_with_its_network(model):
    found = measure_serving(model, rounds=1, quick=True)
    assert [one.how for one in found] == [WHOLE, STREAMED] * (len(found) // 2)
    assert found[-1].predictor == "network" and {one.kind for one in found} == {"char"}
    for one in found:
        assert one.clients == 4 and one.ratio == pytest.approx(one.many / one.one)


def test_what_is_no_answer_is_said(port):
    with pytest.raises(LostProcessError, match="400"):
        complete_all(port, [{"prompt": 5}])
    with pytest.raises(LostProcessError, match="did not start"), served("nowhere"):
        pass


def test_an_answer_that_counts_no_tokens_is_none():
    class Silent(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(LostProcessError, match="answered"):
                complete_all(server.server_address[1], [{}])
        finally:
            server.shutdown()


def test_a_first_round_warms_up():
    asked = iter([1, 2, 3])
    speeds = speeds_of({"a": lambda: next(asked)}, rounds=2)
    assert len(speeds["a"]) == 2 and all(speed > 0 for speed in speeds["a"])


@pytest.mark.parametrize("ratio, met", [(8.1, True), (7.9, False)])
def test_the_aim_is_for_each_way_to_take_the_text(ratio, met):
    one = Serving("m", "char", "network", STREAMED, 64, one=1000, many=1000 * ratio, ratio=ratio)
    [verdict] = verdicts([], [], [], [], [one])
    assert verdict.aim is SERVING and verdict.met is met
    assert verdict.way == "char, network, streamed"
