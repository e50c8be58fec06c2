"""Can two sets of lesions be told apart? Small classifiers, cross-validated by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["FEWEST_LESIONS", "Discrimination", "area_under_curve", "discriminate"]

FEWEST_LESIONS = 10
"""With fewer lesions in either set no AUC is given: its interval would cover nearly everything."""

_FOLDS = 5
_REPEATS = 3
_BOOTSTRAPS = 2000
_PERMUTATIONS = 1999
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Discrimination:
    """How well two sets are told apart.

    Parameters
    ----------
    auc
        Area under the receiver operating characteristic of the mean score of both classifiers, out
        of fold; 0.5 is guessing. None if there are too few lesions or cases.
    low, high
        95 % interval from resampling cases, scores fixed.
    p
        Share of permutations of the labels within cases, scores fixed, with an AUC as high; of
        labels of whole cases where every case has but one.
    logistic, forest
        AUC of each classifier alone.
    positives, negatives, groups
        Numbers of lesions of either set, and of cases.
    telling
        Names of the features that tell most by themselves, with their own AUC.
    why_not
        Empty, or why there is no AUC.
    """

    auc: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    logistic: float | None = None
    forest: float | None = None
    positives: int
    negatives: int
    groups: int
    telling: tuple[tuple[str, float], ...] = ()
    why_not: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain types, rounded to four digits."""
        return {k: round(v, 4) if type(v) is float else v for k, v in asdict(self).items()}


def discriminate(
    table: NDArray[np.float64],
    names: Sequence[str],
    labels: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> tuple[Discrimination, NDArray[np.float64]]:
    """Train logistic regression and a random forest, and test them on cases they did not see.

    Both are small and have fixed settings: nothing is tuned on the sets, and what is reported is
    their mean score, not the better of the two, which would be above 0.5 by choice alone.

    Parameters
    ----------
    table
        Array (lesions, features); NaN is replaced by the training median and flagged.
    names
        Names of the features.
    labels
        Boolean array: which lesions are of the set to be found.
    groups
        For each lesion, what must not be split between training and test.
    seed
        Of folds, forests, bootstrap and permutations.

    Returns
    -------
    tuple
        The result, and the out-of-fold scores, array (lesions,); NaN if there are none.
    """
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    positives, count = int(labels.sum()), int(codes.max()) + 1 if codes.size else 0
    negatives = int(labels.size - positives)
    smaller = min(positives, negatives)
    folds = _possible_folds(labels, codes)
    why_not = ""
    if smaller < FEWEST_LESIONS:
        why_not = f"too few lesions for an AUC: {smaller}, and at least {FEWEST_LESIONS} are needed"
    elif folds < 2:
        why_not = f"too few cases for an AUC: {count}, and each set needs two or more"
    if why_not:
        none = np.full(labels.size, np.nan)
        empty = Discrimination(
            auc=None, why_not=why_not, positives=positives, negatives=negatives, groups=count
        )
        return empty, none
    scores = _out_of_fold(table[:, _varied(table)], labels, codes, folds, seed)
    mean = rankdata(scores[0]) + rankdata(scores[1])
    rng = np.random.default_rng([seed, 1])
    auc = area_under_curve(mean, labels)
    low, high = _interval(mean, labels, codes, rng)
    result = Discrimination(
        auc=auc,
        low=low,
        high=high,
        p=_permutation_p(mean, labels, codes, auc, rng),
        logistic=area_under_curve(scores[0], labels),
        forest=area_under_curve(scores[1], labels),
        telling=_telling(table, names, labels),
        positives=positives,
        negatives=negatives,
        groups=count,
    )
    return result, mean / mean.max()


def _varied(table: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The columns that hold more than one number."""
    low = np.where(np.isfinite(table), table, np.inf).min(axis=0)
    high = np.where(np.isfinite(table), table, -np.inf).max(axis=0)
    return np.asarray(high > low, np.bool_)


def area_under_curve(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Share of pairs in which the lesion to be found scores higher; ties count half."""
    positives = int(labels.sum())
    ranks = rankdata(scores)[labels].sum()
    area = (ranks - positives * (positives + 1) / 2) / (positives * (labels.size - positives))
    return float(area)


def _possible_folds(labels: NDArray[np.bool_], codes: NDArray[np.intp]) -> int:
    """As many folds as each set has cases, five at most."""
    held = (np.unique(codes[labels]).size, np.unique(codes[~labels]).size)
    return min(_FOLDS, *held)


def _out_of_fold(
    table: NDArray[np.float64],
    labels: NDArray[np.bool_],
    codes: NDArray[np.intp],
    folds: int,
    seed: int,
) -> NDArray[np.float64]:
    """Scores (classifiers, lesions), each from models that did not see the lesion's case."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    total = np.zeros((2, labels.size))
    for repeat in range(_REPEATS):
        state = seed * _REPEATS + repeat
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
        models = (
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                StandardScaler(),
                LogisticRegression(C=0.1, max_iter=2000),
            ),
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                RandomForestClassifier(
                    60, min_samples_leaf=4, max_features="sqrt", random_state=state, n_jobs=1
                ),
            ),
        )
        for train, test in split.split(table, labels, codes):
            if np.unique(labels[train]).size < 2:
                total[:, test] += 0.5
                continue
            for row, model in enumerate(models):
                model.fit(table[train], labels[train])
                total[row, test] += model.predict_proba(table[test])[:, 1]
    return total / _REPEATS


def _interval(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    codes: NDArray[np.intp],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of the AUC over cases drawn with replacement."""
    members = [np.flatnonzero(codes == code) for code in range(int(codes.max()) + 1)]
    areas = []
    for _ in range(_BOOTSTRAPS):
        drawn = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        if 0 < labels[drawn].sum() < drawn.size:
            areas.append(area_under_curve(scores[drawn], labels[drawn]))
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def _permutation_p(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    codes: NDArray[np.intp],
    observed: float,
    rng: np.random.Generator,
) -> float:
    order = np.argsort(codes, kind="stable")
    ranks, sorted_codes, held = rankdata(scores)[order], codes[order], labels[order]
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_codes) > 0])
    sizes = np.diff(np.r_[starts, sorted_codes.size])
    share = np.add.reduceat(held, starts) / sizes
    paired = bool(((share > 0) & (share < 1)).any())
    positives = int(held.sum())
    area = positives * (held.size - positives)
    least = positives * (positives + 1) / 2
    higher = 0
    for _ in range(_PERMUTATIONS):
        if paired:
            # Sorting random keys within each case shuffles its labels and leaves the others'.
            shuffled = np.lexsort((rng.random(held.size), sorted_codes))
            drawn = held[shuffled]
            value = (ranks[drawn].sum() - least) / area
        else:
            drawn = np.repeat(rng.permutation(share > 0.5), sizes)
            if not 0 < drawn.sum() < drawn.size:
                continue
            value = area_under_curve(ranks, drawn)
        higher += value >= observed - 1e-12
    return float((higher + 1) / (_PERMUTATIONS + 1))


def _telling(
    table: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.bool_]
) -> tuple[tuple[str, float], ...]:
    """The features with the AUC farthest from one half, each by itself and in sample."""
    found = []
    for column, name in enumerate(names):
        known = np.isfinite(table[:, column])
        if 0 < labels[known].sum() < np.count_nonzero(known):
            area = area_under_curve(table[known, column], labels[known])
            found.append((name, round(area, 4)))
    found.sort(key=lambda one: (-abs(one[1] - 0.5), one[0]))
    return tuple(found[:_MOST_NAMED])
