"""What a trained model's use is held to: writing, suggesting, starting, scoring and serving."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from charlm.benchmark.scoring_speed import LineScoring
from charlm.benchmark.serving_speed import Serving
from charlm.benchmark.starting import Start
from charlm.benchmark.typing_speed import Typing
from charlm.benchmark.writing import STREAMS, WaySpeed, Writing

Unit = Literal["times", "s"]


@dataclass(frozen=True)
class Aim:
    """A figure to come to: so many times as fast at least, or so many seconds at most."""

    name: str
    wanted: float
    unit: Unit
    stretch: float | None = None

    def met(self, found: float, wanted: float) -> bool:
        """Tell whether a figure is as good as one that is wanted, or better."""
        return found >= wanted if self.unit == "times" else found <= wanted


@dataclass(frozen=True)
class Verdict:
    """An aim and what was found; `best`, what counts for the stretch, came by `way`.

    The aims of speed are for float32, their stretches for any way of charlm's.
    """

    aim: Aim
    found: float
    best: float
    way: str

    @property
    def met(self) -> bool:
        """Tell whether the aim was met."""
        return self.aim.met(self.found, self.aim.wanted)

    @property
    def stretched(self) -> bool | None:
        """Tell whether the stretch was met too; None where there is none."""
        return None if self.aim.stretch is None else self.aim.met(self.best, self.aim.stretch)

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        told = asdict(self.aim) | {"found": self.found, "best": self.best, "way": self.way}
        return told | {"met": self.met, "stretch_met": self.stretched}


WRITING = {  # by kind, and whether there is one softmax or the head of charlm's own plan
    ("char", True): Aim("one stream of characters against the textbook", 12, "times", 40),
    ("word", True): Aim("one stream of words, full softmax, against the same", 10, "times", 25),
    ("word", False): Aim("one stream of words, charlm's own head, against it", 10, "times", 25),
}
MANY = Aim("64 streams against one", 8, "times")
SUGGESTING = {
    "char": Aim("suggestions of a character model, 95 % of keystrokes", 0.010, "s", 0.003),
    "bpe": Aim("suggestions of a BPE model, 95 % of keystrokes", 0.020, "s", 0.005),
}
STEP = Aim("a keystroke's change of state", 0.0002, "s")
FIRST = {
    "generate": Aim("charlm generate to its first token", 0.5, "s"),
    "suggest": Aim("charlm suggest to its suggestions", 0.5, "s"),
    "--help": Aim("charlm --help", 0.15, "s"),
    "--version": Aim("charlm --version", 0.15, "s"),
}
SERVING = Aim("64 clients of a server against one", 8, "times")
TOGETHER = Aim("short lines scored together against one by one, NumPy", 5, "times")


def verdicts(
    writing: Sequence[Writing],
    typing: Sequence[Typing],
    starts: Sequence[Start],
    scoring: Sequence[LineScoring] = (),
    serving: Sequence[Serving] = (),
) -> list[Verdict]:
    """Judge what was measured; of what was not there is no verdict."""
    return [
        *_of_writing(writing),
        *_of_typing(typing),
        *_of_starts(starts),
        *(Verdict(TOGETHER, one.ratio, one.ratio, one.kind) for one in scoring),
        *(
            Verdict(SERVING, one.ratio, one.ratio, f"{one.kind}, {one.predictor}, {one.how}")
            for one in serving
        ),
    ]


def _of_writing(found: Sequence[Writing]) -> Iterable[Verdict]:
    for one in found:
        exact = [way for way in one.ways if way.exact]
        aim = WRITING.get((one.kind, one.full))
        if aim is not None and exact:
            own = max(exact, key=_ratio)
            best = max(one.ways, key=_ratio)
            yield Verdict(aim, own.ratio, best.ratio, best.way)
    for way in found[0].ways if found else []:
        if way.streams == STREAMS:
            yield Verdict(MANY, way.many_ratio, way.many_ratio, way.way)


def _ratio(way: WaySpeed) -> float:
    return way.ratio


def _of_typing(found: Sequence[Typing]) -> Iterable[Verdict]:
    for one in found:
        if one.kind in SUGGESTING:
            yield Verdict(SUGGESTING[one.kind], one.suggest_p95, one.suggest_p95, one.predictor)
        yield Verdict(STEP, one.step, one.step, f"{one.kind}, {one.predictor}")


def _of_starts(found: Sequence[Start]) -> Iterable[Verdict]:
    for one in found:
        if one.command in FIRST:
            yield Verdict(FIRST[one.command], one.median, one.median, one.kind)
