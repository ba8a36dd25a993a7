"""A space of options to search: what each may be, and what it is where nothing is changed.

Plain data that knows no optimiser. A parameter may depend on another, such as the number of byte
pairs on the tokenizer: it counts only where the other has the value that `when` names.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

Value = str | int | float | None
Values = dict[str, Value]
When = tuple[str, Value]

CHANGED = 0.3  # of its parameters a neighbour of the default has redrawn, on average


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    name: str
    values: tuple[Value, ...]
    default: Value
    when: When | None = None

    def draw(self, random: Random) -> Value:
        """Draw one of the values, each with the same probability."""
        return random.choice(self.values)


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`; `log`: its ratios count, not its differences."""

    name: str
    low: float
    high: float
    default: float
    log: bool = False
    whole: bool = False
    when: When | None = None

    def draw(self, random: Random) -> Value:
        """Draw a number, evenly, or its logarithm evenly."""
        if self.whole:
            return random.randint(int(self.low), int(self.high))
        if self.log:
            return math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return random.uniform(self.low, self.high)


Parameter = Choice | Number
Space = Sequence[Parameter]


def counts(parameter: Parameter, values: Mapping[str, Value]) -> bool:
    """Tell whether a parameter is one of a trial's whose other values are given."""
    return parameter.when is None or values.get(parameter.when[0]) == parameter.when[1]


def defaults(space: Space) -> Values:
    """Give the values of the parameters that count where nothing is changed."""
    values: Values = {}
    for parameter in space:
        if counts(parameter, values):
            values[parameter.name] = parameter.default
    return values


def option_of(name: str) -> str:
    """Give the option that a parameter decides."""
    if name.endswith("vocab_size"):
        return "vocab_size"
    return name.removesuffix("_factor").removesuffix("_shift")


def told(values: Values, space: Space) -> str:
    """Tell what differs from the plan."""
    usual = {each.name: each.default for each in space}
    changed = [
        f"{name.replace('_', ' ')} {_short(value)}"
        for name, value in values.items()
        if value != usual[name]
    ]
    return ", ".join(changed) or "charlm's own plan"


def number(values: Values, name: str, otherwise: float) -> float:
    """Give a trial's number, or another where it is not searched."""
    value = values.get(name, otherwise)
    assert isinstance(value, int | float)
    return value


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def neighbour(space: Space, random: Random) -> Values:
    """Change some of the defaults, one at least.

    A good default is a better place to start from than anywhere: of ten parameters drawn at random
    one at least is mostly bad.
    """
    while True:
        values: Values = {}
        for parameter in space:
            if counts(parameter, values):
                changed = random.random() < CHANGED
                value = parameter.draw(random) if changed else parameter.default
                values[parameter.name] = value
        if not space or values != defaults(space):
            return values
