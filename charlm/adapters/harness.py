"""charlm under lm-evaluation-harness: what its tests ask for, without the harness itself.

The harness hands over requests and reads answers; a request has its arguments as `args`. See
https://github.com/EleutherAI/lm-evaluation-harness, docs/model_guide.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from charlm.adapters.pairs import pieces, read_texts, score_pairs
from charlm.errors import UsageError
from charlm.evaluation.lines import score_each
from charlm.generation.batching import WritingBatch
from charlm.generation.generator import fresh_seed, guards_of, language_of
from charlm.generation.writing import Writing
from charlm.language.combination import NETWORK
from charlm.language.generating import generator_keywords
from charlm.language.handle import load
from charlm.options import check_count
from charlm.predict.predictor import Predictor, lanes_of

DEVICES = ("auto", "cpu", "cuda", "mps")
UNSAID = "cuda:0"
STREAMS = 64  # texts read side by side
MANY = 20_000  # tokens that PyTorch reads sooner than NumPy, loading it included
MAX_TOKENS = 256  # as the harness takes where a test does not say
LENGTHS = ("max_gen_toks", "max_tokens", "max_new_tokens")  # of what is written, by any name


class Request(Protocol):
    """What the harness asks for, once."""

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the request."""


class Harness:
    """A trained model that answers the harness's three kinds of requests.

    pretrained: the model's directory; predictor: which of its predictors is tested, as for
    `charlm eval`. Every text is read whole, however long: there is no window, and the state is
    carried from a context into all of its continuations.
    batch_size: texts that are read side by side, which changes no figure; device: auto, cpu, cuda
    or mps. What the harness passes where nobody says anything, "1" and "cuda:0", is taken for 64
    and auto. Raises ModelError, or UsageError.
    """

    def __init__(
        self,
        pretrained: str,
        predictor: str = NETWORK,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        place = "auto" if device in (None, UNSAID) else device
        if place not in DEVICES:
            raise UsageError(f"device is one of {', '.join(DEVICES)}, not {place!r}")
        self.model = load(pretrained, device=place, threads=threads, predictor=predictor)
        self._streams = _streams(batch_size)

    def scores_of_pairs(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        """Score continuations after contexts, (context, continuation) each: nats, and if greedy.

        What is scored are the tokens by which context and continuation together differ from the
        context alone: none of the continuation's text is left out, and where a token reaches over
        the border, what it has of the context is scored with it.
        """
        pairs = [self._cut(*request.args) for request in requests]
        predictor = self._reader(sum(len(ids) for pair in pairs for ids in pair))
        return score_pairs(predictor, pairs, self._streams)

    def scores_of_texts(self, requests: Sequence[Request]) -> list[float]:
        """Score whole texts, (text,) each, from the start: log p of each in nats."""
        texts = [self.model.tokenizer.encode(request.args[0]) for request in requests]
        predictor = self._reader(sum(map(len, texts)))
        return [-nats for nats in score_each(predictor, texts)]

    def continuations(self, requests: Sequence[Request]) -> list[str]:
        """Continue contexts, (context, options) each, greedily unless the options say otherwise.

        Options: until, texts before which to end; max_gen_toks; do_sample; and those of
        `LanguageModel.generate`. Raises UsageError for others.
        """
        found: dict[int, str] = {}
        order = sorted(range(len(requests)), key=lambda number: len(requests[number].args[0]))
        for part in pieces(order, int(min(self._streams, lanes_of(self.model.predictor)))):
            texts = self._continued([requests[number].args for number in part])
            found |= dict(zip(part, texts, strict=True))
        return [found[number] for number in range(len(requests))]

    def _continued(self, asked: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Continue contexts side by side; what each becomes depends on itself alone."""
        predictor = self.model.predictor
        prompts = [self.model.tokenizer.encode(context) for context, _ in asked]
        pairs = zip(prompts, asked, strict=True)
        writings = [self._writing(ids, context, own) for ids, (context, own) in pairs]
        batch = WritingBatch(predictor)
        batch.admit(writings, read_texts(predictor, prompts))
        while len(batch):
            batch.step()
        return [writing.sample().text for writing in writings]

    def _writing(self, prompt: np.ndarray, context: str, asked: Mapping[str, Any]) -> Writing:
        keywords = generator_keywords(generation_options(asked))
        options, seed = keywords["options"], keywords.pop("seed", None)
        index = None if options.max_copy is None else self.model.text_index
        return Writing(
            self.model.tokenizer,
            seed=fresh_seed() if seed is None else seed,
            prompt_ids=prompt,
            guards=guards_of(options, language_of(options, context), index, self.model.tokenizer),
            **keywords,
        )

    def _cut(self, context: str, continuation: str) -> tuple[np.ndarray, np.ndarray]:
        """Give the ids of a context and of what follows it, as they are in the whole text."""
        whole, before = map(self.model.tokenizer.encode, (context + continuation, context))
        length = min(len(whole), len(before))
        differ = np.flatnonzero(whole[:length] != before[:length])
        border = int(differ[0]) if len(differ) else length
        return whole[:border], whole[border:]

    def _reader(self, tokens: int) -> Predictor:
        """Give the predictor for so many tokens: many are read sooner by PyTorch."""
        if tokens < MANY:
            return self.model.predictor
        return self.model.parts.predictor(self.model.name, self.model.parts.reader)


def generation_options(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the harness's options of generation into those of `LanguageModel.generate`.

    Without do_sample a temperature above 0 asks for samples.
    """
    own = {name: value for name, value in asked.items() if value is not None}
    stops = own.pop("until", [])
    lengths = [own.pop(name) for name in LENGTHS if name in own]
    temperature = own.pop("temperature", 0.0)
    samples = own.pop("do_sample", temperature > 0)
    own["temperature"] = (temperature or 1.0) if samples else 0.0
    own["stop"] = [stop for stop in ([stops] if isinstance(stops, str) else stops) if stop]
    return own | {"max_tokens": lengths[0] if lengths else MAX_TOKENS}


def _streams(batch_size: int | str | None) -> int:
    """Read the harness's batch size, which may be a text."""
    if batch_size is None or str(batch_size).startswith("auto"):
        return STREAMS
    try:
        number = int(batch_size)
    except ValueError:
        raise UsageError(f"batch_size is a number or auto, not {batch_size!r}") from None
    check_count(number, "batch_size")
    return STREAMS if number == 1 else number
