"""A predictor that begins where another reading ended: with a state in place of the boundary's."""

from typing import Any, TypeVar, cast

from charlm.predict.predictor import Predictor, State

Some = TypeVar("Some", bound=Predictor)


def continued(predictor: Some, state: State) -> Some:
    """Let a predictor start from what `state`, of one stream, has read; all else stays."""
    return cast(Some, _Continued(predictor, state))


class _Continued:
    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor, self._state = predictor, state

    def start(self, streams: int) -> State:
        """Give the state of S streams that have read what the one had."""
        own = self._predictor
        return self._state if streams == 1 else own.select(self._state, [0] * streams)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_"):  # as a copy that is not filled yet is asked
            raise AttributeError(name)
        return getattr(self._predictor, name)
