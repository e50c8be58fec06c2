"""The audit as a whole: findings of all cases in, tables and verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai._version import __version__
from scalemai.synthesis.audit.classifier import Discrimination, discriminate
from scalemai.synthesis.audit.coverage import Coverage, coverage_of
from scalemai.synthesis.audit.distance import Discrepancy, maximum_mean_discrepancy
from scalemai.synthesis.audit.duplicates import Duplicates, find_duplicates
from scalemai.synthesis.audit.findings import CaseFindings, LesionFindings
from scalemai.synthesis.audit.intervals import Interval, interval_by_case
from scalemai.synthesis.audit.lesions import CONTROL_VIEWS
from scalemai.synthesis.audit.verdicts import Verdict, of_control, of_view

__all__ = ["Audit", "OrganAudit", "RealComparison", "Surest", "audit"]

_FEWEST_REAL = 4
_LINEAR_RAMP = 0.8  # a border that rises linearly covers 10 to 90 % within 0.8 of its width
_SUREST = 8
_NOISE = {
    "residual": "strength of the noise",
    "band1": "power at the lowest frequencies",
    "band2": "power at low frequencies",
    "band3": "power at high frequencies",
    "band4": "power at the highest frequencies",
    "slices": "difference of neighbouring slices",
}


@dataclass(frozen=True, kw_only=True)
class RealComparison:
    """Synthetic against real lesions of one organ.

    Parameters
    ----------
    lesions, cases
        Numbers of real ones.
    radiomics, patches
        Can they be told apart by radiomic features, and by what their patches look like?
    discrepancy
        Distance of the radiomic features; None if there are too few real lesions.
    rise_mm
        Sharpness of the borders of real lesions.
    """

    lesions: int
    cases: int
    radiomics: Discrimination
    patches: Discrimination
    discrepancy: Discrepancy | None
    rise_mm: Interval | None


@dataclass(frozen=True, kw_only=True)
class Surest:
    """A lesion that a classifier was surest to be edited, with its sham."""

    lesion: str
    view: str
    score: float
    pictures: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True, kw_only=True)
class OrganAudit:
    """What was found of one organ.

    Parameters
    ----------
    organ
        Its name.
    lesions, shams, cases
        Numbers.
    views
        By view: can edits be told from shams?
    controls
        By control edit: is it noticed?
    noise
        By quantity, in words: ratio of inside to around, of lesions and of shams.
    rise_mm, expected_rise_mm
        Sharpness of the borders, and what their recipes asked for.
    real
        Comparison with real lesions, or None if there are none.
    coverage
        What there is and what is missing.
    surest
        The lesions that gave themselves away most.
    """

    organ: str
    lesions: int
    shams: int
    cases: int
    views: Mapping[str, Discrimination]
    controls: Mapping[str, Discrimination]
    noise: Mapping[str, tuple[Interval | None, Interval | None]]
    rise_mm: Interval | None
    expected_rise_mm: Interval | None
    real: RealComparison | None
    coverage: Coverage
    surest: tuple[Surest, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One line per view and per control."""
        views = [of_view(self.organ, view, found) for view, found in self.views.items()]
        controls = [of_control(self.organ, name, found) for name, found in self.controls.items()]
        return (*views, *controls)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The result of an audit.

    Parameters
    ----------
    organs
        One entry per organ.
    duplicates
        What occurs twice.
    cases
        Number of synthetic cases that were examined.
    failed
        Cases that could not be.
    far
        Cases in which voxels far from any lesion differ from the host: name, number, share.
    notes
        Remarks in words.
    seed
        Of everything drawn.
    """

    organs: tuple[OrganAudit, ...]
    duplicates: Duplicates
    cases: int
    failed: tuple[str, ...]
    far: tuple[tuple[str, int, float], ...]
    notes: tuple[str, ...]
    seed: int

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All lines, organ by organ."""
        return tuple(verdict for one in self.organs for verdict in one.verdicts)

    @property
    def highest(self) -> float | None:
        """The highest upper end of an interval of edits against shams; None if there is none."""
        ends = [found.high for one in self.organs for found in one.views.values()]
        known = [end for end in ends if end is not None]
        return max(known, default=None)

    def to_json(self) -> dict[str, Any]:
        """Every number, in plain types."""
        return {
            "version": __version__,
            "seed": self.seed,
            "cases": self.cases,
            "failed": list(self.failed),
            "verdicts": [one.to_json() for one in self.verdicts],
            "organs": {one.organ: _organ_json(one) for one in self.organs},
            "duplicates": self.duplicates.to_json(),
            "far": [
                {"case": case, "voxels": voxels, "share": round(share, 4)}
                for case, voxels, share in self.far
            ],
            "notes": list(self.notes),
        }


def audit(
    synthetic: Sequence[CaseFindings],
    real: Sequence[CaseFindings] = (),
    *,
    failed: Sequence[str] = (),
    seed: int = 0,
) -> Audit:
    """Draw the conclusions from the findings of all cases.

    Parameters
    ----------
    synthetic, real
        Findings of the cases; their order does not matter.
    failed
        Names of cases that could not be examined.
    seed
        Of folds, bootstrap and permutations.
    """
    made = sorted(synthetic, key=lambda case: case.case)
    known = sorted(real, key=lambda case: case.case)
    lesions = [lesion for case in made for lesion in case.lesions]
    of_real = [lesion for case in known for lesion in case.lesions]
    organs = sorted({lesion.organ for lesion in lesions})
    return Audit(
        organs=tuple(
            _of_organ(
                name,
                [one for one in lesions if one.organ == name],
                [one for one in of_real if one.organ == name],
                seed,
            )
            for name in organs
        ),
        duplicates=find_duplicates(made),
        cases=len(made),
        failed=tuple(sorted(failed)),
        far=tuple((case.case, case.far_voxels, case.far_share) for case in made if case.far_voxels),
        notes=tuple(f"{case.case}: {note}" for case in (*made, *known) for note in case.notes),
        seed=seed,
    )


def _of_organ(
    name: str, lesions: list[LesionFindings], real: list[LesionFindings], seed: int
) -> OrganAudit:
    paired = [one for one in lesions if one.sham is not None]
    views: dict[str, Discrimination] = {}
    surest: list[Surest] = []
    for view in ("surround", "inside"):
        views[view], scores = _edits_against_shams(paired, view, seed)
        if views[view].auc is not None:
            order = np.argsort(-scores[: len(paired)], kind="stable")[: _SUREST // 2]
            surest += [
                Surest(lesion=paired[n].name, view=view, score=float(scores[n]),
                       pictures=paired[n].pictures)
                for n in order
            ]  # fmt: skip
    controls = {
        control: _control_against_shams(paired, control, view, seed)
        for control, view in CONTROL_VIEWS.items()
    }
    groups = [one.group for one in lesions]
    borders = [np.nan if one.border_mm is None else one.border_mm for one in lesions]
    return OrganAudit(
        organ=name,
        lesions=len(lesions),
        shams=len(paired),
        cases=len({one.case for one in lesions}),
        views=views,
        controls=controls,
        noise={words: _noise_ratio(paired, key, seed) for key, words in _NOISE.items()},
        rise_mm=_rise(lesions, seed),
        expected_rise_mm=interval_by_case(
            [_LINEAR_RAMP * border for border in borders], groups, _median, seed=seed
        ),
        real=_against_real(lesions, real, seed) if real else None,
        coverage=coverage_of(name, lesions, real),
        surest=tuple(surest),
    )


def _edits_against_shams(
    lesions: list[LesionFindings], view: str, seed: int
) -> tuple[Discrimination, NDArray[np.float64]]:
    edited = [one.views[view] for one in lesions]
    shams = [one.sham[view] for one in lesions if one.sham is not None]
    groups = [one.group for one in lesions]
    return _compare(edited, shams, groups, groups, seed)


def _control_against_shams(
    lesions: list[LesionFindings], control: str, view: str, seed: int
) -> Discrimination:
    edited = [one.controls[control] for one in lesions]
    shams = [one.sham[view] for one in lesions if one.sham is not None]
    groups = [one.group for one in lesions]
    return _compare(edited, shams, groups, groups, seed)[0]


def _against_real(
    lesions: list[LesionFindings], real: list[LesionFindings], seed: int
) -> RealComparison:
    groups = [one.group for one in lesions]
    cases = [f"real {one.group}" for one in real]
    radiomics, _ = _compare(
        [one.radiomics for one in lesions], [one.radiomics for one in real], groups, cases, seed
    )
    patches, _ = _compare(
        [one.views["whole"] for one in lesions],
        [one.views["whole"] for one in real],
        groups,
        cases,
        seed,
    )
    discrepancy = None
    if min(len(lesions), len(real)) >= _FEWEST_REAL:
        table, _ = _table([one.radiomics for one in (*lesions, *real)])
        labels = np.arange(len(table)) < len(lesions)
        discrepancy = maximum_mean_discrepancy(table, labels, [*groups, *cases], seed=seed)
    return RealComparison(
        lesions=len(real),
        cases=len(set(cases)),
        radiomics=radiomics,
        patches=patches,
        discrepancy=discrepancy,
        rise_mm=_rise(real, seed),
    )


def _compare(
    positive: Sequence[Mapping[str, float]],
    negative: Sequence[Mapping[str, float]],
    positive_groups: Sequence[str],
    negative_groups: Sequence[str],
    seed: int,
) -> tuple[Discrimination, NDArray[np.float64]]:
    table, names = _table([*positive, *negative])
    labels = np.arange(len(positive) + len(negative)) < len(positive)
    return discriminate(table, names, labels, [*positive_groups, *negative_groups], seed=seed)


def _table(rows: Sequence[Mapping[str, float]]) -> tuple[NDArray[np.float64], list[str]]:
    names = list(rows[0]) if rows else []
    return np.array([[row[name] for name in names] for row in rows], np.float64), names


def _noise_ratio(
    lesions: list[LesionFindings], key: str, seed: int
) -> tuple[Interval | None, Interval | None]:
    """Geometric means of inside over around: of lesions, and of shams."""
    groups = [one.group for one in lesions]
    edited = [one.views["inside"][f"inside_{key}"] for one in lesions]
    shams = [one.sham["inside"][f"inside_{key}"] for one in lesions if one.sham is not None]
    one, two = (
        interval_by_case(values, groups, lambda x: float(np.exp(x.mean())), seed=seed)
        for values in (edited, shams)
    )
    return one, two


def _rise(lesions: list[LesionFindings], seed: int) -> Interval | None:
    values = [np.nan if one.rise_mm is None else one.rise_mm for one in lesions]
    return interval_by_case(values, [one.group for one in lesions], _median, seed=seed)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


def _organ_json(one: OrganAudit) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return None if value is None else value.to_json()

    real = one.real
    return {
        "lesions": one.lesions,
        "shams": one.shams,
        "cases": one.cases,
        "views": {view: found.to_json() for view, found in one.views.items()},
        "controls": {name: found.to_json() for name, found in one.controls.items()},
        "noise_inside_over_around": {
            words: {"lesions": plain(edited), "shams": plain(sham)}
            for words, (edited, sham) in one.noise.items()
        },
        "rise_mm": plain(one.rise_mm),
        "expected_rise_mm": plain(one.expected_rise_mm),
        "real": None
        if real is None
        else {
            "lesions": real.lesions,
            "cases": real.cases,
            "radiomics": real.radiomics.to_json(),
            "patches": real.patches.to_json(),
            "discrepancy": plain(real.discrepancy),
            "rise_mm": plain(real.rise_mm),
        },
        "coverage": one.coverage.to_json(),
        "surest": [
            {"lesion": sure.lesion, "view": sure.view, "score": round(sure.score, 4)}
            for sure in one.surest
        ],
    }
