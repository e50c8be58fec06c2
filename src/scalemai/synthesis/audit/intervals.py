"""A statistic with its 95 % interval, cases drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "interval_by_case"]

_BOOTSTRAPS = 1000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate, the ends of its 95 % interval, and the number of lesions behind it.

    The ends are None if all lesions are of one case, which says nothing of others.
    """

    value: float
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain types, rounded to four digits."""
        return {k: round(v, 4) if type(v) is float else v for k, v in asdict(self).items()}


def interval_by_case(
    values: Sequence[float],
    groups: Sequence[str],
    statistic: Callable[[NDArray[np.float64]], float],
    *,
    seed: int = 0,
) -> Interval | None:
    """Bootstrap a statistic over cases; None if there are no finite values.

    Parameters
    ----------
    values
        One per lesion; those that are not finite are left out.
    groups
        Case of each lesion: lesions of one case come and go together.
    statistic
        Mean, median, ...
    seed
        Of the draws.
    """
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    if not known.any():
        return None
    array = array[known]
    _, codes = np.unique(np.asarray(groups)[known], return_inverse=True)
    value = float(statistic(array))
    if codes.max() == 0:
        return Interval(value=value, low=None, high=None, n=int(array.size))
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    rng = np.random.default_rng([seed, 3])
    count = len(members)
    draws = rng.integers(count, size=(_BOOTSTRAPS, count))
    drawn = [statistic(array[np.concatenate([members[k] for k in draw])]) for draw in draws]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high), n=int(array.size))
