"""What tells a case by what is in its masks, however and under whatever name they are stored."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from scalemai.evaluation.crops import Crop

__all__ = ["content_digest"]

_PROBABILITY_STEPS = 1000


def content_digest(
    reference: Crop | None,
    prediction: Crop | None = None,
    probability: NDArray[np.float32] | None = None,
) -> str:
    """Digest of the voxels by which a case is known again.

    Parameters
    ----------
    reference, prediction
        Masks of one structure, axes nearest to RAS+ (:func:`scalemai.evaluation.lattice.upright`);
        None if there is none.
    probability
        Map of the same shape.

    Returns
    -------
    str
        SHA-256, in hexadecimal, of the shape of the grid and of which voxels are set: those of the
        reference if it has any, so that other predictions of the same case are found out; else of
        the prediction; else of the probabilities to a thousandth. Empty if there is nothing in
        any of them: empty masks of different cases are the same. Data type, compression, axis
        order, label values and the file do not enter; nor do steps and origin, which a header
        may round.
    """
    for role, mask in (("reference", reference), ("prediction", prediction)):
        if mask is not None and mask.region is not None:
            box = ";".join(f"{span.start}:{span.stop}" for span in mask.region)
            head = f"{role} {mask.grid.shape} {box}\n"
            return _sha256(head, np.packbits(mask.array.ravel(order="F")).tobytes())
    if probability is None or not probability.any():
        return ""
    steps = np.round(probability * _PROBABILITY_STEPS).astype("<u2")
    return _sha256(f"probability {probability.shape}\n", steps.tobytes(order="F"))


def _sha256(head: str, content: bytes) -> str:
    digest = hashlib.sha256(head.encode())
    digest.update(content)
    return digest.hexdigest()
