"""What is odd about a volume, in words: each is a fact that has spoiled somebody's study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from scalemai.errors import ScaleMAIError
from scalemai.geometry import CORNER_TOLERANCE_MM, Grid
from scalemai.io.nifti_header import affine_source_of
from scalemai.volume import Volume

__all__ = ["odd_affines", "odd_geometry", "odd_header", "odd_numbers", "refusal"]

_TILT_DEG = 0.5
_THICK_MM = 5.0
_PADDING_BELOW_HU = -1500.0  # between the noise of air and the customary -2000, -2048, -3024
_SPACING_DISAGREEMENT = 0.02
_UNIT_CODES = {0: "unknown", 1: "metre", 2: "mm", 3: "micrometre"}


def refusal(error: ScaleMAIError) -> str:
    """The words of an error without its place, which the report gives already."""
    return f"{error.what}; {error.fix}" if error.fix else error.what


def odd_header(header: Any) -> Iterator[str]:
    """What is odd about a NIfTI header (a nibabel header)."""
    shape = header.get_data_shape()
    if len(shape) > 3 and set(shape[3:]) == {1}:
        yield f"is {len(shape)}-D {shape} with one volume; read as 3-D"
    if affine_source_of(header) == "none":
        yield "neither sform nor qform is coded: position and sides are a guess of the reader"
    unit = int(header["xyzt_units"]) & 7
    if unit not in {0, 2}:
        yield f"the unit of length is {_UNIT_CODES.get(unit, unit)}, read as mm all the same"


def odd_affines(header: Any, grid: Grid) -> Iterator[str]:
    """Where the two affines of a NIfTI header disagree by less than what is refused."""
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    if sform is None:
        return
    pixdim = np.asarray(header["pixdim"][1:4], float)
    if (
        np.abs(pixdim / grid.spacing_mm - 1).max() > _SPACING_DISAGREEMENT
        and grid.shear_deg < _TILT_DEG
    ):
        both = (" x ".join(f"{s:.3g}" for s in step) for step in (pixdim, grid.spacing_mm))
        yield "pixdim says {} mm and the sform {} mm; the sform is used".format(*both)
    apart = 0.0 if qform is None else grid.difference_mm(Grid(grid.shape, qform))
    if apart > CORNER_TOLERANCE_MM:
        sheared = ", as a qform cannot hold the shear" if grid.shear_deg > _TILT_DEG else ""
        yield f"qform and sform disagree by {apart:.3g} mm at a corner{sheared}; the sform is used"


def odd_geometry(grid: Grid) -> Iterator[str]:
    """What is odd about a grid."""
    if grid.shear_deg > _TILT_DEG:
        yield f"the axes are sheared by {grid.shear_deg:.1f} degrees: gantry tilt not corrected"
    elif grid.tilt_deg > _TILT_DEG:
        yield f"the axes are turned by {grid.tilt_deg:.1f} degrees against the patient's"
    slices = grid.shape[grid.axial_axis]
    thickness = grid.spacing_mm[grid.axial_axis]
    if slices == 1:
        yield "is a single slice"
    if thickness > _THICK_MM:
        yield f"slices are {thickness:.3g} mm apart: small lesions fall between them"
    first, second = (grid.spacing_mm[axis] for axis in grid.in_plane_axes)
    if abs(first / second - 1) > _SPACING_DISAGREEMENT:
        yield f"pixels of an axial slice are not square: {first:.3g} x {second:.3g} mm"


def odd_numbers(volume: Volume) -> Iterator[str]:
    """What is odd about the numbers of a CT, beyond what makes them no Hounsfield units."""
    stored = volume.stored
    limit = (_PADDING_BELOW_HU - volume.intercept) / volume.slope
    below = stored < limit if volume.slope > 0 else stored > limit
    count = int(np.count_nonzero(below))
    if count:
        low = float(stored[below].min() if volume.slope > 0 else stored[below].max())
        hu = low * volume.slope + volume.intercept
        share = 100 * count / stored.size
        yield f"{share:.2g} % of the voxels are padding outside of the scan, down to {hu:g} HU"
