"""A stand-in for the engine: a tiny model, one order after the other in turn, as a test wishes."""

import contextlib
import threading
import time
from collections import deque

import numpy as np

from charlm.generation.options import SamplingOptions
from charlm.generation.sampling import apply_rules
from charlm.generation.session import suggest
from charlm.generation.stopping import StopFilter
from charlm.serving.orders import Busy, Failure, Piece, Token
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TEXT = "the cat sat on the mat. the dog sat on the log. привет!\n" * 3
CHAR = learn_tokenizer("char", lambda: [TEXT])
BIGRAM = Bigram.of_text(CHAR, TEXT, smoothing=1e-5)


class Job:
    """An order: a generator that is asked for a step at a time."""

    def __init__(self, steps, receive):
        self.steps, self.receive, self.over = steps, receive, False

    def cancel(self):
        self.over = True


class StandIn:
    """An Engine.

    pause:   seconds that a step takes
    fail_at: the step of an order that raises
    silent:  seconds before the first step of an order
    steps:   that were taken for orders
    """

    def __init__(self, tokenizer=CHAR, predictor=BIGRAM, most=64, waiting=32):
        self.tokenizer, self.predictor = tokenizer, predictor
        self.most, self.waiting = most, waiting
        self.pause, self.fail_at, self.silent, self.steps = 0.0, None, 0.0, 0
        self.jobs, self.closing, self.cut = deque(), False, False
        self.taken = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def complete(self, order, receive):
        self.taken.append(order)
        return self.take(Job(self.write(order), receive))

    def suggest(self, text, k, receive):
        found = (suggest(self.predictor, self.tokenizer, text, k) for _ in range(1))
        return self.take(Job(found, receive))

    def take(self, job):
        with self.changed:
            if self.closing or len(self.jobs) >= self.most + self.waiting:
                raise Busy(2.0)
            self.jobs.append(job)
            self.changed.notify()
        return job

    def close(self, seconds):
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(seconds)
        with self.changed:
            self.cut = True
            self.changed.notify()
        self.thread.join()

    def run(self):
        while True:
            with self.changed:
                while not self.jobs and not self.closing:
                    self.changed.wait()
                if self.cut or not self.jobs:
                    break
                now = [self.jobs[at] for at in range(min(self.most, len(self.jobs)))]
            time.sleep(self.pause)
            for job in now:
                self.step(job)
            with self.changed:
                self.jobs = deque(job for job in self.jobs if not job.over)
        for job in self.jobs:
            job.receive(Failure("the server was stopped"))

    def step(self, job):
        if job.over:
            return
        self.steps += 1
        try:
            said = next(job.steps, None)
        except Exception:
            said = Failure("the model failed")
        if said is None or isinstance(said, Failure):
            job.over = True  # and never False: it may have been cancelled meanwhile
        for each in said if isinstance(said, list) else [] if said is None else [said]:
            job.receive(each)

    def write(self, order):
        """Write an order: its prompt, and then a token of each sample in a step."""
        if self.silent:
            until = time.monotonic() + self.silent
            while time.monotonic() < until:
                time.sleep(0.001)
                yield []
        echo = self.echo(order) if order.echo else Piece(0, "")
        finish = None if order.max_tokens else "length"
        yield [echo._replace(sample=n, finish=finish) for n in range(order.count)]
        if finish is None:
            samples = [self.sample(order, n, len(echo.text)) for n in range(order.count)]
            for number in range(order.max_tokens):
                if number == self.fail_at:
                    raise RuntimeError(f"the model failed on {self.tokenizer.decode(order.prompt)}")
                found = [next(sample, None) for sample in samples]
                yield [piece for piece in found if piece]

    def token(self, order, log_probs, token, offset, *, first=False):
        text = self.tokenizer.decode([token]) or "<end>"
        if first:
            return Token(text, None, (), offset)
        best = np.argsort(-log_probs, kind="stable")[: order.logprobs]
        top = tuple((self.tokenizer.decode([i]) or "<end>", float(log_probs[i])) for i in best)
        return Token(text, float(log_probs[token]), top, offset)

    def echo(self, order):
        state, tokens, text = self.predictor.start(1), [], ""
        for number, token in enumerate(order.prompt.tolist()):
            logs = self.predictor.prediction(state).log_probs()[0]
            tokens.append(self.token(order, logs, token, len(text), first=number == 0))
            text += self.tokenizer.decode([token])
            _, state = self.predictor.step(np.array([token]), state)
        return Piece(0, text, tuple(tokens) if order.logprobs is not None else ())

    def sample(self, order, number, offset):
        random = np.random.default_rng((order.seed or 0, number))
        state, stops = self.predictor.start(1), StopFilter(order.stops)
        if len(order.prompt):
            _, state = self.predictor.score(order.prompt[None], state)
        for written in range(1, order.max_tokens + 1):
            logs = self.predictor.prediction(state).log_probs()[0]
            drawn = apply_rules(logs[None], order.options)[0]
            shares = np.exp(drawn - drawn.max())
            token = int(random.choice(len(logs), p=shares / shares.sum()))
            _, state = self.predictor.step(np.array([token]), state)
            text = stops.push(self.tokenizer.decode([token]))
            finish = "stop" if stops.stopped else "length" if written == order.max_tokens else None
            text += "" if finish is None or stops.stopped else stops.flush()
            tokens = () if order.logprobs is None else (self.token(order, logs, token, offset),)
            offset += len(text)
            yield Piece(number, text, tokens, 1, finish)
            if finish:
                return


def alone(order, engine=None):
    """Give what an order writes on its own: a text for each sample."""
    texts = {}
    with contextlib.closing((engine or StandIn()).write(order)) as steps:
        for pieces in steps:
            for piece in pieces:
                texts[piece.sample] = texts.get(piece.sample, "") + piece.text
    return [texts[number] for number in sorted(texts)]


__all__ = ["BIGRAM", "CHAR", "TEXT", "SamplingOptions", "StandIn", "alone"]
