"""Programs that people have: the `openai` package, and what lm-evaluation-harness asks (F19)."""

import random
from operator import itemgetter
from types import SimpleNamespace

import httpx
import numpy as np
import openai
import pytest

from charlm.serving.engine import ModelEngine
from tests.predictors import Bigram
from tests.serving.running import NAME, running
from tests.serving.stand_in import BIGRAM, CHAR, StandIn

KEY = "a-key-for-tests"


@pytest.fixture(scope="module")
def server():
    with running(key=KEY.encode()) as server:
        yield server


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def client_of(server, key=KEY):
    return openai.OpenAI(base_url=f"{server.address}v1", api_key=key, max_retries=0, timeout=20)


def complete(client, **fields):
    return client.completions.create(**{"model": NAME, "prompt": "the ", "seed": 1} | fields)


def test_openai_completes(client):
    answer = complete(client, max_tokens=8, n=2, temperature=0.7, top_p=0.9)
    assert answer.object == "text_completion" and answer.model == NAME
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert answer.usage.completion_tokens == 16
    again = complete(client, max_tokens=8, n=2, temperature=0.7, top_p=0.9)
    assert [c.text for c in again.choices] == [c.text for c in answer.choices]


def test_openai_bans_and_asks_for_tokens(client):
    wanted, banned = (int(CHAR.encode(letter)[0]) for letter in "ze")
    (choice,) = complete(client, max_tokens=20, logit_bias={str(wanted): 100}).choices
    assert choice.text == "z" * 20
    for choice in complete(client, max_tokens=30, n=4, logit_bias={str(banned): -100}).choices:
        assert "e" not in choice.text


def test_openai_stops_before_a_stop_string(client):
    whole = complete(client, max_tokens=60, temperature=0).choices[0].text
    stop = whole[5:8]
    (choice,) = complete(client, max_tokens=60, temperature=0, stop=[stop, "zzz"]).choices
    assert choice.text == whole[: whole.index(stop)] and choice.finish_reason == "stop"


def test_openai_streams(client):
    whole = complete(client, max_tokens=12, n=2)
    parts = list(
        complete(client, max_tokens=12, n=2, stream=True, stream_options={"include_usage": True})
    )
    found = ["", ""]
    for part in parts:
        for choice in part.choices:
            found[choice.index] += choice.text
    assert found == [choice.text for choice in whole.choices]
    assert parts[-1].usage == whole.usage and parts[-1].choices == []


def test_openai_reads_logprobs_and_echo(client):
    (choice,) = complete(client, prompt="the cat", max_tokens=3, logprobs=2, echo=True).choices
    logprobs = choice.logprobs
    assert choice.text.startswith("the cat") and "".join(logprobs.tokens) == choice.text
    assert logprobs.token_logprobs[0] is None and len(logprobs.token_logprobs) == 10
    for token, own, top in list(
        zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True)
    )[1:]:
        assert 2 <= len(top) <= 3 and top[token] == own
    assert [choice.text[at] for at in logprobs.text_offset] == logprobs.tokens


def test_openai_sees_fields_beyond_its_own(client):
    one = complete(client, max_tokens=9, extra_body={"top_k": 1}).choices[0].text
    assert one == complete(client, max_tokens=9, temperature=0).choices[0].text


def test_openai_lists_the_model(client):
    assert [model.id for model in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).owned_by == "charlm"


def test_openai_raises_what_fits(server, client):
    with pytest.raises(openai.BadRequestError, match="max_tokens must be from 1 to") as caught:
        complete(client, max_tokens=10**6)
    assert caught.value.param == "max_tokens" and caught.value.code == "invalid_value"
    with pytest.raises(openai.BadRequestError, match="not a field"):
        complete(client, best_of=3)
    with pytest.raises(openai.NotFoundError, match="no model"):
        complete(client, model="gpt-4")
    with pytest.raises(openai.NotFoundError, match="does not chat"):
        client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "hi"}])
    with client_of(server, "wrong") as stranger, pytest.raises(openai.AuthenticationError):
        complete(stranger)


def test_openai_raises_for_a_failing_and_a_full_server():
    engine = StandIn(most=1, waiting=0)
    with running(engine) as server, client_of(server) as client:
        engine.fail_at = 2
        with pytest.raises(openai.InternalServerError, match="the model failed"):
            complete(client)
        parts = complete(client, stream=True)
        with pytest.raises(openai.APIError, match="the model failed"):
            list(parts)
        engine.most = engine.waiting = 0
        with pytest.raises(openai.RateLimitError, match="come again in 2 s"):
            complete(client)


def test_f3_a_stream_that_openai_closes_is_stopped():
    engine = StandIn()
    engine.pause = 0.02
    with running(engine) as server, client_of(server) as client:
        parts = complete(client, max_tokens=1000, stream=True)
        next(iter(parts))
        parts.close()
        for _ in range(200):
            if not engine.jobs:
                break
            httpx.get(f"{server.address}health")
        assert not engine.jobs


def loglikelihoods(server, requests):
    """Ask and read as the harness does: (context ids, continuation ids) -> (sum, greedy)."""
    answer = httpx.post(
        f"{server.address}v1/completions",
        headers={"Authorization": f"Bearer {KEY}"},
        json={
            "model": NAME,
            "prompt": [[*context, *continuation] for context, continuation in requests],
            "temperature": 0,
            "max_tokens": 1,
            "logprobs": 1,
            "seed": 1234,
            "echo": True,
        },
    ).json()
    found = []
    choices = sorted(answer["choices"], key=itemgetter("index"))
    for choice, (context, _) in zip(choices, requests, strict=True):
        own = choice["logprobs"]["token_logprobs"][len(context) : -1]
        top = choice["logprobs"]["top_logprobs"][len(context) : -1]
        greedy = all(log == max(each.values()) for log, each in zip(own, top, strict=True))
        found.append((sum(own), greedy))
    return found


def test_f19_what_the_harness_sums_is_the_score_of_the_model(server):
    dice = random.Random(0)
    size = CHAR.vocab_size
    for _ in range(25):
        requests = []
        for _ in range(4):
            ids = [dice.randrange(size) for _ in range(dice.randint(2, 80))]
            cut = dice.randint(1, len(ids) - 1)
            requests.append((ids[:cut], ids[cut:]))
        for (context, continuation), (total, _) in zip(
            requests, loglikelihoods(server, requests), strict=True
        ):
            ids = np.array([[*context, *continuation]])
            nats = BIGRAM.score(ids, BIGRAM.start(1))[0][0, len(context) :].sum()
            assert total == pytest.approx(-nats, rel=1e-5)


def test_f19_the_harness_sees_what_is_greedy(server):
    context = CHAR.encode("the ").tolist()
    state = np.array(context[-1:])
    best = []
    for _ in range(4):
        best.append(int(BIGRAM.prediction(state).log_probs()[0].argmax()))
        state = np.array(best[-1:])
    worse = [best[0], (best[1] + 1) % CHAR.vocab_size]
    greedy = [greedy for _, greedy in loglikelihoods(server, [(context, best), (context, worse)])]
    assert greedy == [True, False]


def test_f19_a_text_that_ends_has_its_end_as_the_last_token_and_loses_none_before():
    table = np.full((CHAR.vocab_size, CHAR.vocab_size), -50.0)
    table[:, CHAR.boundary_id] = 0.0  # it always ends
    predictor = Bigram(table, CHAR.boundary_id)
    model = SimpleNamespace(predictor=predictor, tokenizer=CHAR, session=lambda: None)
    engine = ModelEngine(model)
    ids = CHAR.encode("the cat").tolist()
    with running(engine, key=KEY.encode()) as server:
        ((total, greedy),) = loglikelihoods(server, [(ids[:3], ids[3:])])
    assert (total, greedy) == (-50.0 * 4, False)
