"""Learning-rate schedules: pure functions from progress to a factor on the peak rate.

Progress runs from 0 at the first step to 1 at the end of the budget, whether that is counted in
minutes, steps or epochs; so the rate reaches zero exactly when the budget is used up.
"""


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


SCHEDULES = {"linear": linear_to_zero, "constant": constant}
