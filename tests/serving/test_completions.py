"""POST /v1/completions in OpenAI's form, plain and streaming, by the model's own scores."""

import json
import math

import numpy as np
import openai
import pytest

from charlm.predict.positions import positions


def ask(client, **body):
    return client.post("/v1/completions", json={"model": "small", "prompt": "The cat", **body})


def events(response):
    lines = [line for line in response.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@pytest.fixture
def openai_client(server):
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as own:
        yield own


def test_the_text_is_what_the_library_writes(small_model, client):
    answer = ask(client, max_tokens=40, temperature=0.7, seed=5).json()
    expected = small_model.samples("The cat", max_tokens=40, temperature=0.7, seed=5)[0]
    choice = answer["choices"][0]
    assert choice["text"] == expected.text
    assert choice["finish_reason"] == "length" and choice["logprobs"] is None
    assert answer["object"] == "text_completion" and answer["model"] == "small"
    prompt = len(small_model.tokenizer.encode("The cat"))
    assert answer["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": 40,
        "total_tokens": prompt + 40,
    }


def test_several_samples_of_several_prompts_are_numbered_prompt_by_prompt(small_model, client):
    answer = ask(client, prompt=["The cat", "Onegin"], n=2, max_tokens=9, seed=1).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    for number, prompt in enumerate(("The cat", "Onegin")):
        expected = small_model.samples(prompt, count=2, max_tokens=9, seed=1 + number)
        texts = [choice["text"] for choice in answer["choices"][2 * number : 2 * number + 2]]
        assert texts == [sample.text for sample in expected]


def test_token_ids_are_a_prompt_too(small_model, client):
    ids = small_model.tokenizer.encode("The dog").tolist()
    options = {"max_tokens": 12, "temperature": 0, "seed": 1}
    by_text = ask(client, prompt="The dog", **options).json()["choices"][0]["text"]
    assert ask(client, prompt=ids, **options).json()["choices"][0]["text"] == by_text
    several = ask(client, prompt=[ids, ids], **options).json()["choices"]
    assert [choice["text"] for choice in several] == [by_text, by_text]


def test_a_stop_string_ends_a_sample_and_is_left_out(client):
    whole = ask(client, max_tokens=60, temperature=0).json()["choices"][0]["text"]
    stop = whole[7:10]
    choice = ask(client, max_tokens=60, temperature=0, stop=stop).json()["choices"][0]
    assert choice["text"] == whole[: whole.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_a_stream_gives_the_same_text_and_then_done(client):
    options = {"max_tokens": 30, "seed": 3, "n": 2}
    whole = ask(client, **options).json()["choices"]
    chunks = events(ask(client, stream=True, **options))
    for choice in whole:
        mine = [
            each
            for chunk in chunks
            for each in chunk["choices"]
            if each["index"] == choice["index"]
        ]
        assert "".join(each["text"] for each in mine) == choice["text"]
        assert [each["finish_reason"] for each in mine][-1] == choice["finish_reason"]
        assert all(each["finish_reason"] is None for each in mine[:-1])
    assert "usage" not in chunks[0]


def test_a_stream_tells_its_usage_where_that_is_asked_for(client):
    options = {"max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}}
    chunks = events(ask(client, **options))
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 5
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_log_probabilities_are_the_models_own_before_any_rule(small_model, client):
    answer = ask(client, max_tokens=8, temperature=0.3, top_p=0.5, seed=2, logprobs=3).json()
    choice = answer["choices"][0]
    found = choice["logprobs"]
    assert "".join(found["tokens"]) == choice["text"]
    ids = small_model.tokenizer.encode("The cat" + choice["text"])
    predictor = small_model.predictor
    prediction, _ = positions(predictor, ids[None], predictor.start(1))
    logs = prediction.log_probs()[-8:]
    own = logs[np.arange(8), ids[-8:]]
    np.testing.assert_allclose(found["token_logprobs"], own, atol=1e-4)
    for row, top in zip(logs, found["top_logprobs"], strict=True):
        told = sorted(top.values(), reverse=True)[:3]  # the token's own may be one more
        np.testing.assert_allclose(told, np.sort(row)[::-1][:3], atol=1e-4)
    assert found["text_offset"] == list(range(8))


def test_an_echo_gives_the_prompt_and_its_log_probabilities(small_model, client):
    text = "The cat sat on the"
    choice = ask(client, prompt=text, max_tokens=1, echo=True, logprobs=1, temperature=0).json()[
        "choices"
    ][0]
    found = choice["logprobs"]
    assert choice["text"].startswith(text) and len(choice["text"]) == len(text) + 1
    assert found["token_logprobs"][0] is None and found["top_logprobs"][0] is None
    ids = small_model.tokenizer.encode(text)
    nats, _ = small_model.predictor.score(ids[None], small_model.predictor.start(1))
    np.testing.assert_allclose(found["token_logprobs"][1:-1], -nats[0, 1:], atol=1e-4)
    assert found["text_offset"] == list(range(len(text) + 1))


def test_scores_are_summed_as_the_evaluation_harness_does(small_model, client):
    """lm-evaluation-harness's local-completions: token ids, echo, and all but the last token."""
    random, tokenizer = np.random.default_rng(4), small_model.tokenizer
    text = "The cat sat on the mat, and the dog sat on the log.\nOnegin, my good friend"
    for _ in range(20):
        begin, end = sorted(random.choice(len(text), 2, replace=False))
        middle = int(random.integers(begin + 1, end + 1))
        context, rest = text[begin:middle], text[middle : end + 1] or "x"
        ids, first = tokenizer.encode(context + rest), len(tokenizer.encode(context))
        body = {"prompt": [ids.tolist()], "max_tokens": 1, "logprobs": 1, "seed": 1234}
        found = ask(client, **body, echo=True, temperature=0).json()["choices"][0]["logprobs"]
        mine = found["token_logprobs"][first:-1]
        nats, _ = small_model.predictor.score(ids[None], small_model.predictor.start(1))
        assert math.isclose(sum(mine), -nats[0, first:].sum(), rel_tol=1e-5, abs_tol=1e-5)
        greedy = all(
            own == max(top.values())
            for own, top in zip(mine, found["top_logprobs"][first:-1], strict=True)
        )
        best = positions(small_model.predictor, ids[None], small_model.predictor.start(1))[0]
        assert greedy == bool((best.top(1)[0][first:, 0] == ids[first:]).all())


def test_the_openai_client_completes(openai_client):
    answer = openai_client.completions.create(
        model="small", prompt="The cat", max_tokens=10, logprobs=2, n=2, seed=1, stop=["\n"]
    )
    assert len(answer.choices) == 2 and answer.usage.prompt_tokens == 7
    assert len(answer.choices[0].logprobs.tokens) >= 1


def test_the_openai_client_streams(openai_client):
    whole = openai_client.completions.create(model="small", prompt="The", max_tokens=12, seed=1)
    stream = openai_client.completions.create(
        model="small", prompt="The", max_tokens=12, seed=1, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text


def test_the_openai_client_finds_the_model(openai_client):
    assert [model.id for model in openai_client.models.list()] == ["small"]
    assert openai_client.models.retrieve("small").owned_by == "charlm"


def test_the_openai_client_knows_our_errors(openai_client):
    with pytest.raises(openai.NotFoundError, match="it is 'small'"):
        openai_client.completions.create(model="other", prompt="x")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        openai_client.completions.create(model="small", prompt="x", temperature=9)
    with pytest.raises(openai.NotFoundError, match="completions"):
        openai_client.chat.completions.create(model="small", messages=[])


def test_suggestions_are_the_librarys(small_model, client):
    answer = client.post("/v1/suggest", json={"text": "The cat sat on the m", "k": 3}).json()
    expected = small_model.suggestions("The cat sat on the m", 3).to_json()
    assert [each["word"] for each in answer["suggestions"]] == [
        each["word"] for each in expected["suggestions"]
    ]
    for mine, theirs in zip(answer["suggestions"], expected["suggestions"], strict=True):
        assert math.isclose(mine["probability"], theirs["probability"], abs_tol=1e-4)
    assert set(answer) == {"text", "suggestions", "unexplored"}


def test_the_page_and_the_health_are_there(client):
    assert client.get("/health").json() == {"status": "ok"}
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
