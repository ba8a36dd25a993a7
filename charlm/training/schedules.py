"""Learning-rate schedules: pure functions from progress to a factor on the peak rate.

Progress runs from 0 at the first step to 1 at the end of the budget, whether that is counted in
minutes, steps or epochs; so the rate reaches zero exactly when the budget is used up.
"""

ROUNDING = 1e-9  # of a progress that is to be a step's own


def linear_to_zero(progress: float, warmup: float = 0.02) -> float:
    """Rise linearly over the first `warmup` of the run, then fall linearly to zero.

    Linear decay to zero is the schedule of "Straight to Zero" (arXiv 2502.15938).
    """
    if warmup > 0 and progress < warmup:
        return progress / warmup
    return max(0.0, (1.0 - progress) / (1.0 - warmup))


def constant(progress: float, warmup: float = 0.02) -> float:
    """Rise linearly over the first `warmup` of the run, then stay."""
    return min(1.0, progress / warmup) if warmup > 0 else 1.0


def in_steps(
    progress: float,
    warmup: float = 0.02,
    first: float = 0.6,
    every: float = 0.2,
    factor: float = 0.1,
) -> float:
    """Stay after the warm-up; from `first` on, and after each `every` again, go on at `factor`.

    Zaremba et al. 2014 (arXiv 1409.2329) let the rate fall so with every epoch after the sixth of
    39, Merity et al. 2018 (arXiv 1803.08240) to a tenth after 300 and 400 epochs of 500.
    """
    falls = 0 if progress < first - ROUNDING else 1 + int((progress - first) / every + ROUNDING)
    return constant(progress, warmup) * factor**falls


SCHEDULES = {"linear": linear_to_zero, "constant": constant, "step": in_steps}
