"""What is kept is worked out once, and no two threads wait for each other's."""

import threading

import numpy as np

from charlm.predict.kept import kept
from charlm.predict.mixture import MixturePredictor
from tests.predict.test_cache_compiled import V
from tests.predictors import Bigram


class Whole:
    """Counts how often its number is worked out."""

    made = 0

    @kept
    def number(self):
        """A number."""
        self.made += 1
        return 7


def test_it_is_worked_out_when_it_is_first_asked_for_and_once():
    one, other = Whole(), Whole()
    assert "number" not in one.__dict__
    assert (one.number, one.number, one.made, other.made) == (7, 7, 1, 0)
    assert Whole.number.__doc__ == "A number."


class Waiting(Bigram):
    """Predictions that are laid out only when another thread is at it, too."""

    def __init__(self, meeting):
        super().__init__(np.full((V, V), -np.log(V)), V - 1)
        self.meeting = meeting

    def prediction(self, state):
        found, meeting = super().prediction(state), self.meeting

        def log_probs():
            meeting.wait(timeout=20)
            return type(found).log_probs(found)

        found.log_probs = log_probs
        return found


def test_threads_that_ask_for_probabilities_and_their_logarithms_do_not_wait_for_each_other():
    meeting = threading.Barrier(2)  # each is amid its own answer when the other asks for its
    answers = []

    def ask(mixtures, what):
        inner = MixturePredictor([Waiting(meeting)], np.ones((1, 1)))
        whole = MixturePredictor([inner], np.ones((1, 1))) if mixtures == 2 else inner
        answers.append(what(whole.prediction(whole.start(1))))

    asked = [
        threading.Thread(target=ask, args=(1, lambda found: found.log_probs())),
        threading.Thread(target=ask, args=(2, lambda found: found.probs)),
    ]
    for each in asked:
        each.start()
    for each in asked:
        each.join(30)
    assert len(answers) == 2
