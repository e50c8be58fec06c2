"""What the columns of the table of structures mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from scalemai.evaluation.definitions import Definition
from scalemai.evaluation.segmentation.empties import DEFAULT_POLICY, EmptyPolicy
from scalemai.evaluation.segmentation.result import check_tolerances, nsd_columns

__all__ = ["definitions"]

_NIKOLOV = "Nikolov et al., J Med Internet Res 2021;23(7):e26151 (surface-distance, re-implemented)"
_VOXELS = "Maier-Hein et al., Nat Methods 2024;21:195-212; convention of MONAI and MetricsReloaded"
_HEIMANN = "Heimann et al., IEEE Trans Med Imaging 2009;28:1251-1265"

_SURFACE = (
    "Surface elements of the marching-cubes surface, one for each block of 2 x 2 x 2 voxels that "
    "holds surface, with its area, placed at the middle of the block. The array's edge closes a "
    "mask."
)


def definitions(
    tolerances_mm: Sequence[float] = (2.0,), policy: EmptyPolicy = DEFAULT_POLICY
) -> tuple[Definition, ...]:
    """The definitions of all numbers of a :class:`StructureResult`, in the order of its row.

    Parameters
    ----------
    tolerances_mm
        Tolerances of the NSD.
    policy
        What is scored where a mask is empty. Values depend on it, so it is part of the ids.

    Raises
    ------
    ConfigError
        If a tolerance is impossible or given twice.
    """
    tolerances = check_tolerances(tolerances_mm)
    return (
        _overlap("dsc", "Dice coefficient", _DSC, "Dice, Ecology 1945;26:297-302", policy),
        _overlap(
            "iou", "intersection over union", _IOU, "Jaccard, New Phytol 1912;11:37-50", policy
        ),
        *(_nsd(t, 0, policy) for t in tolerances),
        *(_nsd(t, 1, policy) for t in tolerances),
        *(_distance(*row, policy) for row in _DISTANCES),
        *_VOLUMES,
    )


_DSC = "Twice the shared voxels over the sum of both masks' voxels."
_IOU = "Shared voxels over the voxels of either mask."

_DISTANCES = (
    (
        "hd_mm",
        "Hausdorff distance",
        f"Largest distance from a surface element of one mask to the nearest of the other, in "
        f"either direction. {_SURFACE}",
        "Huttenlocher et al., IEEE Trans Pattern Anal Mach Intell 1993;15:850-863",
    ),
    (
        "hd95_mm",
        "95th percentile Hausdorff distance",
        f"In each direction the smallest distance that 95 % of the surface's area does not exceed; "
        f"the larger of the two. {_SURFACE}",
        _NIKOLOV,
    ),
    (
        "assd_mm",
        "average symmetric surface distance",
        f"Distances of both directions together, weighted by area: their mean. It reads about half "
        f"a voxel short, because the nearest element may be at the near side of the other surface. "
        f"{_SURFACE}",
        f"{_HEIMANN}; weighted by area as {_NIKOLOV}",
    ),
)


def _volume(
    column: str, name: str, unit: str, text: str, source: str = "voxels times their volume"
) -> Definition:
    return Definition(f"{column.replace('_', '-')}/1", column, name, unit, None, text, source)


_VOLUMES = (
    _volume(
        "volume_error_ml",
        "volume error",
        "ml",
        "Volume of the prediction minus that of the reference, a missing prediction having none; "
        "nearer to 0 is better.",
    ),
    _volume(
        "volume_error_share",
        "relative volume error",
        "",
        "Volume error over the volume of the reference, -1 for a missing prediction; no value if "
        "the reference is empty; nearer to 0 is better.",
        f"{_HEIMANN} (relative volume difference, not in per cent)",
    ),
    _volume("reference_ml", "reference volume", "ml", "All voxels of the reference."),
    _volume("prediction_ml", "predicted volume", "ml", "All voxels of the prediction."),
)


def _overlap(
    column: str, name: str, text: str, source: str, policy: EmptyPolicy, *, base: str = ""
) -> Definition:
    differs = (
        ("both-empty", policy.both_empty, "omit"),
        ("one-empty", policy.one_empty, "zero"),
    )
    zero = "0" if policy.one_empty == "zero" else "no value"
    empty = (
        f"Both empty: {'1' if policy.both_empty == 'perfect' else 'no value'}; one empty: {zero}; "
        "prediction missing: 0."
    )
    return _with_policy(
        base or column, column, name, "", "higher", f"{text} {empty}", source, differs
    )


def _nsd(tolerance_mm: float, kind: Literal[0, 1], policy: EmptyPolicy) -> Definition:
    column = nsd_columns(tolerance_mm)[kind]
    border = (
        f"Area of both surfaces within {tolerance_mm:g} mm of the other over their whole area. "
        f"{_SURFACE}",
        f"Border voxels of both masks within {tolerance_mm:g} mm, between voxel centres, of one of "
        "the other over all of them; a border voxel has one of its 6 sides outside of the mask.",
    )[kind]
    return _overlap(
        column,
        f"normalized surface Dice ({('surfels', 'border voxels')[kind]}), {tolerance_mm:g} mm",
        f"{border} Exactly at the tolerance counts as within, to 0.0001 mm.",
        (_NIKOLOV, _VOXELS)[kind],
        policy,
        base=column.replace("_", "-"),
    )


def _distance(column: str, name: str, text: str, source: str, policy: EmptyPolicy) -> Definition:
    differs = (
        ("both-empty", policy.both_empty, "omit"),
        ("one-empty", policy.one_empty_distance, "diagonal"),
    )
    one = {
        "diagonal": "longest diagonal of the scan",
        "infinite": "infinite",
        "omit": "no value",
    }[policy.one_empty_distance]
    empty = (
        f"Both empty: {'0' if policy.both_empty == 'perfect' else 'no value'}; one empty or "
        f"prediction missing: {one}."
    )
    base = column.removesuffix("_mm")
    return _with_policy(base, column, name, "mm", "lower", f"{text} {empty}", source, differs)


def _with_policy(
    base: str,
    column: str,
    name: str,
    unit: str,
    better: Literal["higher", "lower"],
    text: str,
    source: str,
    differs: tuple[tuple[str, str, str], ...],
) -> Definition:
    """A definition whose id names the choices for empty masks that are not the default."""
    choices = "".join(f".{what}-{choice}" for what, choice, usual in differs if choice != usual)
    return Definition(f"{base}{choices}/1", column, name, unit, better, text, source)
