"""What the engine does, round by round, in one thread and without locks.

A round admits what there is room for, reads on in the prompts that are waiting, makes at most one
suggestion, and writes one token in every sample that is going on: nobody waits long for others.
Samples that must be of a language are asked about at each token, which may take long: those of an
order step by themselves, an order a round, and all others get as much time before the next one.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence

from charlm.errors import CharlmError
from charlm.generation.batching import WritingBatch
from charlm.generation.generator import fresh_seed, guards_of
from charlm.generation.session import Sessions
from charlm.generation.suggest import Suggestions
from charlm.generation.writing import Writing
from charlm.language.handle import LanguageModel
from charlm.predict.predictor import State, lanes_of
from charlm.serving.engine_jobs import CompletionJob, Job, SuggestionJob
from charlm.serving.engine_languages import BoundedLanguage, ConstraintError, complaint
from charlm.serving.engine_reading import PIECE, Reading
from charlm.serving.engine_tokens import Teller, TokenTexts
from charlm.serving.orders import Failure

FAILED = "the model failed"
CONSTRAINED = 4  # part of the samples that more than one order with a constraint may be
REMEMBERED = 8  # completions, about, whose time counts

logger = logging.getLogger(__name__)


class Rounds:
    """The work on all jobs together.

    most:    samples that are written at a time
    seconds: that a constraint may take at one token of an order's samples
    steps:   how often the model took one for samples
    """

    def __init__(self, model: LanguageModel, most: int, seconds: float) -> None:
        self._model, self._predictor = model, model.predictor
        self._texts = TokenTexts(model.tokenizer)
        self._start: State = None
        self._most, self._constraint_seconds = most, seconds
        self.steps = 0
        self._sessions = Sessions(model.session)
        self.suggestions: deque[SuggestionJob] = deque()
        self._suggest_from = 0.0
        self._seconds = 1.0  # that a completion takes
        self._running: list[CompletionJob] = []
        self._reading: deque[CompletionJob] = deque()
        self._samples: dict[Writing, tuple[CompletionJob, Teller]] = {}
        self._batch = WritingBatch(self._predictor)
        self._constrained: deque[CompletionJob] = deque()
        self._constrained_from = 0.0

    @property
    def busy(self) -> bool:
        """Tell whether there is anything to do."""
        return bool(self._running or self.suggestions)

    def room(self, constrained: bool) -> int:
        """Count the samples that could be admitted, of those that must be of a language or others.

        Each have room of their own, so that no number of the former, which are slow, is in the way
        of the latter.
        """
        if lanes_of(self._predictor) == 1 and self._running:
            return 0
        running = [job.order.count for job in self._running if job.constrained == constrained]
        most = self._most // CONSTRAINED if constrained and running else self._most
        return most - sum(running)

    def take(self, job: Job) -> None:
        """Take a job on; for a completion there must be room."""
        if isinstance(job, CompletionJob):
            job.began = time.monotonic()
            self._running.append(job)
            self._reading.append(job)
        elif isinstance(job, SuggestionJob):
            self.suggestions.append(job)

    def seconds_until(self, waiting: int) -> float:
        """Estimate when so many orders that wait will have begun, by how long the last ones ran."""
        return max(1.0, self._seconds * waiting / max(len(self._running), 1))

    def round(self) -> None:
        """Do one round."""
        self._sweep()
        self._read()
        self._suggest()
        self._write()

    def start_over(self, message: str = FAILED) -> None:
        """Give up everything that is going on."""
        for job in self._running:
            job.tell(Failure(message))
        while self.suggestions:  # more of which may come meanwhile
            self.suggestions.popleft().tell(Failure(message))
        self._reading.clear()
        self._constrained.clear()
        self._running, self._samples = [], {}
        self._batch = WritingBatch(self._predictor)

    def _sweep(self) -> None:
        """Let go of what is over, nobody waits for any more, or took too long."""
        now = time.monotonic()
        for job in (*self._running, *self.suggestions):
            job.expire(now)
        over = [job for job in self._running if job.over]
        for job in over:
            self._seconds += (now - job.began - self._seconds) / REMEMBERED
        left = {writing for job in over for writing in job.writings}
        if left:
            self._batch.remove(left)
            for writing in left:
                del self._samples[writing]
        if over:
            self._running = [job for job in self._running if not job.over]
            self._reading = deque(job for job in self._reading if not job.over)
            self._constrained = deque(job for job in self._constrained if not job.over)
        while self.suggestions and self.suggestions[0].over:
            self.suggestions.popleft()

    def _read(self) -> None:
        """Read a piece of a prompt, or several short ones."""
        left = PIECE
        while left > 0 and self._reading:
            job = self._reading.popleft()
            try:
                left -= self._read_on(job)
            except Exception as error:
                _fail([job], error)
            else:
                if job.reading is not None and not job.over:
                    self._reading.append(job)  # others first

    def _read_on(self, job: CompletionJob) -> int:
        """Read a piece of a job's prompt, and begin to write after the last; count its ids."""
        if job.reading is None:
            model = self._model
            if self._start is None:  # the first time, where it fails an order and no more
                self._start = self._predictor.start(1)
            job.reading = Reading(
                self._predictor, model.tokenizer, self._texts, job.order, self._start
            )
        reading = job.reading
        echo = reading.read()
        nothing_to_write = reading.done and not job.order.max_tokens
        job.tell_prompt(echo, "length" if nothing_to_write else None)
        if reading.done:
            job.reading = None
            if not job.over:
                self._begin(job, reading)
        return max(echo.read, 1)

    def _begin(self, job: CompletionJob, reading: Reading) -> None:
        """Let the samples of an order join."""
        order = job.order
        seed = fresh_seed() if order.seed is None else order.seed
        if order.constraint is not None:
            job.language = BoundedLanguage(order.constraint.language, self._constraint_seconds)
            job.batch = WritingBatch(self._predictor)
            self._constrained.append(job)
        writings = [self._writing(job, seed, number) for number in range(order.count)]
        state = self._predictor.select(reading.state, [0] * order.count)
        batch = self._batch if job.batch is None else job.batch
        batch.admit(writings, state)
        job.writings = writings
        for writing in writings:
            tokens = order.logprobs is not None
            teller = Teller(self._texts, reading.characters, tokens=tokens, whole=order.whole)
            self._samples[writing] = job, teller

    def _writing(self, job: CompletionJob, seed: int, number: int) -> Writing:
        order = job.order
        index = None if order.options.max_copy is None else self._model.text_index
        return Writing(
            self._model.tokenizer,
            order.options,
            max_tokens=order.max_tokens,
            seed=seed,
            number=number,
            prompt_ids=order.prompt,
            stops=order.stops,
            guards=guards_of(order.options, job.language, index, self._model.tokenizer),
            alternatives=order.logprobs or 0,
            begun=0 if order.constraint is None or order.echo else len(order.constraint.begun),
        )

    def _suggest(self) -> None:
        """Make a suggestion; streams get as much time before the next one as it took."""
        began = time.monotonic()
        if not self.suggestions or (self._samples and began < self._suggest_from):
            return
        job = self.suggestions.popleft()
        answer: Suggestions
        try:
            answer = self._sessions.suggest(job.text, job.k)
        except Exception as error:
            _fail([job], error)
        else:
            job.tell(answer)
        now = time.monotonic()
        self._suggest_from = now + (now - began)

    def _write(self) -> None:
        """Write a token in every sample; of those that are of a language, in those of one order."""
        if len(self._batch):
            together = [job for job in self._running if job.writings and job.batch is None]
            if not self._step(self._batch, together):
                self._batch = WritingBatch(self._predictor)
        others = len(self._batch) or self._reading
        began = time.monotonic()
        if not self._constrained or (others and began < self._constrained_from):
            return
        job = self._constrained.popleft()
        assert job.batch is not None and job.language is not None
        job.language.allow()
        if self._step(job.batch, [job]) and not job.over:
            self._constrained.append(job)  # others first
        now = time.monotonic()
        self._constrained_from = now + (now - began)

    def _step(self, batch: WritingBatch, jobs: Sequence[CompletionJob]) -> bool:
        """Write a token in every sample of a batch, which is that of some jobs, or fail them."""
        try:
            written = batch.step()
        except Exception as error:
            _fail(jobs, error)
            for job in jobs:
                for writing in job.writings:
                    del self._samples[writing]
                job.writings = []
            return False
        self.steps += 1
        for each in written:
            job, teller = self._samples[each.writing]
            piece = teller.piece(each)
            if piece is not None:
                job.tell(piece)
            if each.writing.stopped_by:
                del self._samples[each.writing]
                job.writings.remove(each.writing)
                if not job.writings:
                    job.over = True
        return True


def _fail(jobs: Sequence[Job], error: Exception) -> None:
    """Tell that work failed: what was wrong with it, or that it is our fault."""
    if isinstance(error, ConstraintError):
        for job in jobs:
            assert isinstance(job, CompletionJob) and job.order.constraint is not None
            job.tell(Failure(complaint(error), job.order.constraint.field))
        return
    if isinstance(error, CharlmError):
        message = str(error)
    else:
        logger.error(FAILED, exc_info=error)
        message = FAILED
    for job in jobs:
        job.tell(Failure(message))
