"""Answers while they are put together: a long one holds up nobody."""

import asyncio
import json

import pytest

from charlm.serving.answers import Completion
from charlm.serving.options import ServeOptions
from charlm.serving.orders import Piece, Token
from charlm.serving.requests import read_completion
from charlm.serving.work import Answer

CHOICES, TOKENS = 8, 500


@pytest.mark.parametrize("way", ["whole", "events"])
def test_others_have_their_turn_while_a_long_answer_is_written(way):
    asked = {"prompt": "a", "n": CHOICES, "logprobs": 2}
    request = read_completion(asked, ServeOptions(), "tiny", 9)
    completion, turns = Completion(request, "tiny", 1), 0
    token = Token("é", -1.0, (("é", -1.0), ("b", -2.0)), 0)
    text = token.text * TOKENS
    for sample in range(CHOICES):
        piece = Piece(sample, text, (token,) * TOKENS, TOKENS, "length")
        completion.add([Answer(0, piece)])

    async def write():
        nonlocal turns
        writing = asyncio.create_task(getattr(completion, way)())
        while not writing.done():
            turns += 1
            await asyncio.sleep(0)
        return writing.result()

    made = asyncio.run(write()).decode()
    if way == "whole":
        found = json.loads(made)
        assert found["usage"]["completion_tokens"] == CHOICES * TOKENS
        choices = found["choices"]
    else:
        *events, done, _ = made.split("\n\n")
        assert done == "data: [DONE]"
        choices = [json.loads(each.removeprefix("data: "))["choices"][0] for each in events]
    assert [each["index"] for each in choices] == list(range(CHOICES))
    assert all(each["text"] == text for each in choices)
    assert turns > CHOICES / 4
