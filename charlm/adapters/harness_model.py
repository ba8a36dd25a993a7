"""charlm as a model of lm-evaluation-harness, which finds it by the entry point `lm_eval.models`.

    lm-eval run --model charlm --model_args pretrained=runs/book --tasks ...

Releases of the harness that know no such entry points (0.4.13 is one) take the same words behind

    python -m charlm.adapters.lm_eval run ...

This module needs the harness, and only the harness imports it.
"""

from typing import Any, TypeVar

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from charlm.adapters.harness import Harness, Request

Answer = TypeVar("Answer")


@register_model("charlm")
class CharlmLM(Harness, LM):
    """A model directory as the harness's LM; arguments as for `Harness`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        LM.__init__(self)
        Harness.__init__(self, **options)

    def loglikelihood(self, requests: list[Request]) -> list[tuple[float, bool]]:
        """Give log p of continuations and whether each is the greedy one."""
        return self._kept("loglikelihood", requests, self.scores_of_pairs(requests))

    def loglikelihood_rolling(self, requests: list[Request]) -> list[float]:
        """Give log p of whole texts."""
        return self._kept("loglikelihood_rolling", requests, self.scores_of_texts(requests))

    def generate_until(self, requests: list[Request]) -> list[str]:
        """Give continuations."""
        return self._kept("generate_until", requests, self.continuations(requests))

    def _kept(self, kind: str, requests: list[Request], answers: list[Answer]) -> list[Answer]:
        """Hand the answers to the harness's own cache as well, where it has one."""
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial(kind, request.args, answer)
        return answers
