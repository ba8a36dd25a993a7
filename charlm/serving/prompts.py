"""Prompts as ids: a long text is tokenized in a thread, a hopeless one not at all."""

import asyncio

import numpy as np

from charlm.serving.refusals import Refusal
from charlm.serving.requests import Prompt
from charlm.text.tokenizers import Tokenizer

LONG = 1 << 12  # characters from which on a text is tokenized in a thread


class PromptReader:
    """Turns prompts into ids, and refuses those that are longer than may be.

    most: tokens of a prompt
    """

    def __init__(self, tokenizer: Tokenizer, most: int) -> None:
        self._tokenizer, self._most = tokenizer, most
        longest = max(len(piece) for piece in tokenizer.pieces)
        self._longest = None if tokenizer.closed else longest  # there a token has any length

    async def ids(self, prompt: Prompt, field: str) -> np.ndarray:
        """Give the ids of a prompt, (N,); raise Refusal, which names the field."""
        if not isinstance(prompt, str):
            self._check(len(prompt), field)
            return np.array(prompt, dtype=np.int64)
        if self._longest is not None:  # every token adds so many bytes at most
            self._check(-(-len(prompt) // self._longest), field, "at least ")
        if len(prompt) < LONG:
            ids = self._tokenizer.encode(prompt)
        else:
            ids = await asyncio.to_thread(self._tokenizer.encode, prompt)
        self._check(len(ids), field)
        return ids

    def _check(self, tokens: int, field: str, about: str = "") -> None:
        if tokens > self._most:
            most = f"{self._most} are taken at most; send its end"
            message = f"{field} has {about}{tokens} tokens: {most}"
            raise Refusal(400, message, field=field, code="context_length_exceeded")
