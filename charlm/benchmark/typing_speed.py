"""How long a model takes over its work in use: suggestions at every keystroke, and a text.

It types the beginning of its held-out text, with suggestions after each character, and then writes
on. Everything runs in a process with one thread.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.benchmark.child import ONE_THREAD, Task, ask_child
from charlm.errors import UsageError
from charlm.language.directory import read_held_out
from charlm.language.handle import LanguageModel, load

KEYSTROKES, QUICK_KEYSTROKES = 400, 2
TOKENS, QUICK_TOKENS = 400, 4
BEFORE = 200  # characters that are there before the first keystroke
K = 5
SEED = 1


@dataclass(frozen=True)
class Typing:
    """What a model took; times in seconds, as its best predictor answers.

    suggest_p50, suggest_p95: of suggestions, over all keystrokes
    step:                     median of reading one more token and predicting the next
    tokens_per_second:        of `generate`, text and all, by the best predictor
    network_tokens_per_second: by the network alone
    """

    model: str
    kind: str
    predictor: str
    keystrokes: int
    suggest_p50: float
    suggest_p95: float
    step: float
    tokens_per_second: float
    network_tokens_per_second: float


def measure_typing(model: str, quick: bool) -> Typing:
    """Type and write with a model; raise UsageError where it has no held-out text."""
    load(model)  # whatever is wrong with it is said here
    return Typing(**ask_child(type_here, {"model": model, "quick": quick}, ONE_THREAD))


def type_here(task: Task) -> dict[str, Any]:
    """Type and write in this process, and give a Typing: the child's part."""
    lm = load(task["model"])
    lm.compile()  # as the commands for typing do
    keys, tokens = (QUICK_KEYSTROKES, QUICK_TOKENS) if task["quick"] else (KEYSTROKES, TOKENS)
    text = held_out_beginning(lm, BEFORE + keys)
    times = keystroke_times(suggester(lm), text, max(len(text) - keys, 0))
    network = load(task["model"], predictor="network")
    return {
        "model": task["model"],
        "kind": lm.tokenizer.kind,
        "predictor": lm.name,
        "keystrokes": len(times),
        "suggest_p50": float(np.percentile(times, 50)),
        "suggest_p95": float(np.percentile(times, 95)),
        "step": step_time(lm, text),
        "tokens_per_second": writing_speed(lm, text, tokens),
        "network_tokens_per_second": writing_speed(network, text, tokens),
    }


def held_out_beginning(lm: LanguageModel, characters: int) -> str:
    """Give so many characters of a model's held-out text, or all there are.

    Raises UsageError where it has none.
    """
    part = read_held_out(lm.directory, lm.config)
    if part is None:
        raise UsageError(f"{lm.directory} holds no held-out text to type", "train on a longer text")
    ids = part.ids[: 4 * characters]
    return lm.tokenizer.decode(ids[ids != lm.tokenizer.boundary_id].tolist())[:characters]


def suggester(lm: LanguageModel) -> Callable[[str], object]:
    """Give what suggests after each keystroke, and keeps what it has read where it can."""
    session = getattr(lm, "session", None)
    if session is None:
        return lambda text: lm.suggestions(text, K)
    kept = session()
    return lambda text: kept.suggest(text, K)


def keystroke_times(suggest: Callable[[str], object], text: str, before: int) -> list[float]:
    """Type a text from a place on; give the time of the suggestions after each character."""
    suggest(text[:before])  # what is there before the first keystroke
    times = []
    for end in range(before + 1, len(text) + 1):
        began = time.perf_counter()
        suggest(text[:end])
        times.append(time.perf_counter() - began)
    return times


def step_time(lm: LanguageModel, text: str) -> float:
    """Give the median time of reading a token of a text and predicting what comes next."""
    predictor, times = lm.predictor, list[float]()
    state = predictor.start(1)
    for token in lm.tokenizer.encode(text):
        began = time.perf_counter()
        _, state = predictor.step(np.array([token]), state)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def writing_speed(lm: LanguageModel, prompt: str, tokens: int) -> float:
    """Give the tokens per second of a sample, without its first token and so without loading."""
    lm.generate(prompt, max_tokens=1, seed=SEED)
    began = time.perf_counter()
    [sample] = lm.samples(prompt, max_tokens=tokens, seed=SEED, temperature=1.0)
    return sample.tokens / (time.perf_counter() - began)
