"""In which site of its organ something lies, by the stored organs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scalemai.anatomy import organ, structure
from scalemai.annotation.edits.runs import Runs
from scalemai.annotation.store.layout import STRUCTURES_FILE, StoredCase

__all__ = ["site_of"]


def site_of(folder: Path, stored: StoredCase, lesion: str, runs: Runs) -> str | None:
    """The site that most of the voxels lie in; None if the organ has no sites, or none there."""
    parent = structure(lesion).parent
    if parent is None:
        return None
    labels = np.memmap(folder / STRUCTURES_FILE, "u1", "r", shape=stored.shape, order="F")
    counts = np.bincount(labels[runs.indices(stored.shape)], minlength=len(stored.structures) + 1)
    of_name = dict(zip(stored.structures, counts[1:], strict=False))
    of_site = {
        site: sum(int(of_name.get(name, 0)) for name in names)
        for site, names in organ(parent).sites.items()
    }
    best = max(of_site, key=lambda site: of_site[site], default=None)
    return best if best is not None and of_site[best] else None
