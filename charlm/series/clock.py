"""When the rows of a series are: their order, the step between them, and the times that follow.

Times are whole microseconds since 1970, without a zone.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.errors import CorpusError

SECOND = 10**6  # microseconds
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
YEAR, WEEK = 12, 7  # months, days
LAST_YEAR = 9_000  # that is written
WEEKS = 52  # in a year
MOST_A_DAY = 288  # steps in a day that are a season; of finer ones an hour or a minute is one
MOST_INSERTED = 0.1  # of the rows, where a clock leaves some out


@dataclass(frozen=True)
class Step:
    """What lies between two rows: so many months, or so many microseconds, or a working day."""

    months: int = 0
    microseconds: int = 0
    working_day: bool = False

    @property
    def season(self) -> int | None:
        """Give the rows after which the calendar repeats itself; None where it does not."""
        if self.working_day:
            return WEEK - 2
        if self.months:
            rows = YEAR / self.months
        elif self.microseconds == WEEK * DAY:
            rows = WEEKS
        elif self.microseconds >= DAY:
            rows = WEEK * DAY / self.microseconds
        else:
            whole = (DAY, HOUR, MINUTE, SECOND)
            counts = [each / self.microseconds for each in whole]
            rows = next((count for count in counts if 1 < count <= MOST_A_DAY), 1)
        return int(rows) if rows == int(rows) and rows > 1 else None


@dataclass(frozen=True)
class Clock:
    """The time of each row.

    name:  of the column it came from
    times: (L,) int64 microseconds since 1970, increasing
    step:  what lies between two rows; None where that varies
    """

    name: str
    times: np.ndarray
    step: Step | None = None

    def rows(self, start: int, end: int | None) -> "Clock":
        """Take the times of some rows."""
        return Clock(self.name, self.times[start:end], self.step)

    def labels(self) -> list[str]:
        """Write the times, as briefly as the step allows."""
        return _written(_stamps(self.times), self.step)

    def following(self, count: int) -> list[str]:
        """Write the times of the next rows; where the step varies, their numbers: +1, +2."""
        import pandas
        from pandas.tseries.offsets import BDay, DateOffset

        numbers = range(1, count + 1)
        last = _stamps(self.times[-1:])[0]
        months = 0 if self.step is None else self.step.months or self.step.microseconds / (30 * DAY)
        if self.step is None or last.year + count * months / YEAR >= LAST_YEAR:
            return [f"+{number}" for number in numbers]
        if self.step.months:
            times = [last + DateOffset(months=self.step.months * number) for number in numbers]
        elif self.step.working_day:
            times = [last + BDay(number) for number in numbers]
        else:
            times = [last + pandas.Timedelta(self.step.microseconds, "us") * n for n in numbers]
        return _written(pandas.DatetimeIndex(times), self.step)


def parse_times(words: Sequence[Any]) -> np.ndarray | None:
    """Read a column of dates or times, (L,) int64 microseconds; None where some word is none.

    With dots the day stands first; else it does where the month cannot.
    """
    import pandas

    column, stamps = pandas.Series(list(words)), None
    dots = all(isinstance(word, str) and word.count(".") == 2 for word in words)
    for day_first in (dots, not dots):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of slow ways to find out
                stamps = pandas.to_datetime(column, errors="raise", utc=True, dayfirst=day_first)
                break
        except (ValueError, TypeError, OverflowError):
            continue
    if stamps is None or stamps.isna().any():
        return None
    plain = stamps.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    found: np.ndarray = plain.astype(np.int64)
    return found


def since_1970(numbers: np.ndarray) -> np.ndarray | None:
    """Read seconds or milliseconds since 1970, (L,), as microseconds; None where they are none."""
    for unit, least, most in ((SECOND, 1e8, 1e10), (SECOND // 1_000, 1e11, 1e13)):
        if len(numbers) and (numbers >= least).all() and (numbers < most).all():
            return np.round(numbers * unit).astype(np.int64)
    return None


def make_clock(name: str, times: np.ndarray, where: str, lines: Sequence[int]) -> Clock:
    """Make a clock of times; raise CorpusError where they do not increase.

    lines: (L,) the line of the file that each time stands in
    """
    steps = np.diff(times)
    if len(steps) and steps.min() <= 0:
        at = int(np.argmax(steps <= 0)) + 1
        before, after = _written(_stamps(times[at - 1 : at + 1]), None)
        place = f"{where}:{lines[at]}"
        if steps[at - 1] == 0:
            raise CorpusError(
                f"{place}: the time {after} in column '{name}' comes twice",
                "a series has one row for each time; several series are columns side by side",
            )
        raise CorpusError(
            f"{place}: the times in column '{name}' are out of order: {after} comes after {before}",
            "sort the rows by time",
        )
    return Clock(name, times, _even_step(times))


def insert_missing_rows(clock: Clock, values: np.ndarray) -> tuple[Clock, np.ndarray]:
    """Put rows of NaN in where a clock that is even else leaves a few rows out.

    Gives both as they are where the clock is even, or where too many would be put in.
    """
    if clock.step is not None or len(clock.times) < 3:
        return clock, values
    for months in (True, False):
        numbers, size = _numbered(clock.times, months)
        if numbers is None:
            continue
        count = int(numbers[-1]) + 1
        if count - len(numbers) <= MOST_INSERTED * count:
            step = Step(months=size) if months else Step(microseconds=size)
            grown = np.full((count, values.shape[1]), np.nan)
            grown[numbers] = values
            times = _times_of(clock.times, numbers, step, count)
            return Clock(clock.name, times, step), grown
    return clock, values


def _numbered(times: np.ndarray, months: bool) -> tuple[np.ndarray | None, int]:
    """Count the smallest steps, in months or in microseconds, from the first time to each.

    None where that is no whole number for all.
    """
    places = times
    if months:
        stamps = _stamps(times)
        if not _on_one_day_of_the_month(stamps):
            return None, 0
        places = (stamps.year * YEAR + stamps.month).to_numpy().astype(np.int64)
    steps = np.diff(places)
    size = int(steps.min())
    if size <= 0 or (steps % size).any():
        return None, 0
    return (places - places[0]) // size, size


def _times_of(times: np.ndarray, numbers: np.ndarray, step: Step, count: int) -> np.ndarray:
    """Give the times of all rows of an even clock, of which `times` have `numbers`."""
    whole = np.zeros(count, dtype=np.int64)
    whole[numbers] = times
    for number in np.flatnonzero(whole == 0):
        if step.months:
            from pandas.tseries.offsets import DateOffset

            first = _stamps(times[:1])[0]
            next_time = first + DateOffset(months=step.months * int(number))
            whole[number] = next_time.to_datetime64().astype("datetime64[us]").astype(np.int64)
        else:
            whole[number] = times[0] + int(number) * step.microseconds
    return whole


def _even_step(times: np.ndarray) -> Step | None:
    """Find the step between times; None where it varies."""
    if len(times) < 3:
        return None
    stamps, steps = _stamps(times), np.diff(times)
    numbers, months = _numbered(times, months=True)
    if numbers is not None and (np.diff(numbers) == 1).all():
        return Step(months=months)
    if (steps == steps[0]).all():
        return Step(microseconds=int(steps[0]))
    import pandas

    by_day = (stamps.normalize() == stamps).all() and (stamps.day_of_week < WEEK - 2).all()
    if by_day and len(pandas.bdate_range(stamps[0], stamps[-1])) <= len(stamps) / (
        1 - MOST_INSERTED
    ):
        return Step(working_day=True)  # but for holidays
    return None


def _on_one_day_of_the_month(stamps: Any) -> bool:  # noqa: ANN401
    same_day = (stamps.day == stamps.day[0]).all() or stamps.is_month_end.all()
    return bool(same_day and (stamps.normalize() == stamps).all())


def _stamps(times: np.ndarray) -> Any:  # noqa: ANN401
    import pandas

    return pandas.DatetimeIndex(np.asarray(times, dtype=np.int64).astype("datetime64[us]"))


def _written(stamps: Any, step: Step | None) -> list[str]:  # noqa: ANN401
    form = "%Y-%m-%d" if (stamps.normalize() == stamps).all() else "%Y-%m-%d %H:%M:%S"
    if step is not None and step.months:
        form = "%Y" if step.months % YEAR == 0 else "%Y-%m"
    return [str(word) for word in stamps.strftime(form)]
