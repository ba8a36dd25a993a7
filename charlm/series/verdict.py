"""Whether one forecast is better than another, or the difference may be chance."""

import numpy as np

SURE = 1.96  # standard errors, of many rows
FEWEST = 8  # rows of which a verdict is given


def compare(mine: np.ndarray, theirs: np.ndarray, scale: np.ndarray) -> str:
    """Compare absolute errors one step ahead, (N, C) and NaN where unknown: better, worse, even.

    The test of Diebold & Mariano 1995, for small samples by Student's t and with the variance that
    Harvey, Leybourne & Newbold 1997 give for one step ahead. Columns count by their scale (C,).
    """
    gain = (theirs - mine) / scale
    gain = np.nanmean(gain[np.isfinite(gain).any(axis=1)], axis=1)
    count = len(gain)
    if count < FEWEST or abs(gain.mean()) <= student(count - 1) * gain.std() / (count - 1) ** 0.5:
        return "even"
    return "better" if gain.mean() > 0 else "worse"


def student(freedom: int) -> float:
    """Give how many standard errors hold 95 %, by Student's t (Abramowitz & Stegun 26.7.5)."""
    z = SURE
    terms = [
        z,
        (z**3 + z) / (4 * freedom),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3),
    ]
    return sum(terms)
