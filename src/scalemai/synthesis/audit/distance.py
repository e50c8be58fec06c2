"""How far two sets of lesions are apart: maximum mean discrepancy with a permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Discrepancy", "maximum_mean_discrepancy"]

_PERMUTATIONS = 999


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """Distance of two distributions (Gretton et al., J Mach Learn Res 2012;13:723-773).

    Parameters
    ----------
    squared
        Unbiased estimate of the squared maximum mean discrepancy; about 0 for equal distributions,
        and slightly negative by chance.
    p
        Share of permutations of whole cases with a discrepancy as large; 1 where there are too few
        cases to permute.
    """

    squared: float
    p: float

    def to_json(self) -> dict[str, Any]:
        """Plain types, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def maximum_mean_discrepancy(
    table: NDArray[np.float64],
    labels: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> Discrepancy:
    """Compare two sets of lesions over all features at once.

    The kernel is Gaussian on features scaled by their robust spread, its width the median distance
    of lesions. Labels are permuted by case, since lesions of one case are alike.

    Parameters
    ----------
    table
        Array (lesions, features); NaN is replaced by the median.
    labels
        Boolean array: which set a lesion is of.
    groups
        Case of each lesion; a case has lesions of one set only.
    seed
        Of the permutations.
    """
    scaled = _scaled(table)
    square = ((scaled[:, None, :] - scaled[None, :, :]) ** 2).sum(axis=2)
    width = float(np.median(square[np.triu_indices(len(scaled), 1)]))
    kernel = np.exp(-square / max(width, 1e-12))
    np.fill_diagonal(kernel, 0.0)
    observed = _squared(kernel, labels)
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    of_case = np.zeros(int(codes.max()) + 1, np.bool_)
    of_case[codes[labels]] = True
    rng = np.random.default_rng([seed, 2])
    higher, counted = 0, 0
    for _ in range(_PERMUTATIONS):
        drawn = rng.permutation(of_case)[codes]
        if min(drawn.sum(), (~drawn).sum()) < 2:
            continue
        counted += 1
        higher += _squared(kernel, drawn) >= observed - 1e-12
    return Discrepancy(squared=observed, p=(higher + 1) / (counted + 1))


def _scaled(table: NDArray[np.float64]) -> NDArray[np.float64]:
    known = table[:, np.isfinite(table).any(axis=0)]
    middle = np.nanmedian(known, axis=0)
    filled = np.where(np.isfinite(known), known, middle)
    low, high = np.percentile(filled, [25, 75], axis=0)
    spread = np.where(high - low > 1e-9, (high - low) / 1.349, filled.std(axis=0))
    # One outlier must not decide the distance of two lesions.
    return np.asarray(np.clip((filled - middle) / np.maximum(spread, 1e-9), -5.0, 5.0), np.float64)


def _squared(kernel: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    m, n = int(labels.sum()), int((~labels).sum())
    one, two = kernel[labels], kernel[~labels]
    within = one[:, labels].sum() / (m * (m - 1)) + two[:, ~labels].sum() / (n * (n - 1))
    return float(within - 2.0 * one[:, ~labels].mean())
