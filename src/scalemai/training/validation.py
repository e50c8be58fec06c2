"""How well lesions of a fixed seed are found in patches of held-out hosts.

They are grown by the same synthesis as those of the training: this measures whether the training
works, not how the detector does in patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import torch
from torch import nn

from scalemai.training.classes import IGNORE
from scalemai.training.losses import SegmentationLoss
from scalemai.training.stream import Batch, PatchSource, collate

__all__ = ["Score", "held_out_batches", "validate"]

_THRESHOLD = 0.5


@dataclass(frozen=True)
class Score:
    """How a network does on fixed patches.

    Parameters
    ----------
    loss
        Mean over the batches.
    dice
        Of all lesion classes together, voxels of all patches pooled.
    lesions, found
        Lesions that the patches show, and how many of them a voxel with a lesion probability of
        at least one half touches.
    false
        Other candidates, per patch.
    """

    loss: float
    dice: float
    lesions: int
    found: int
    false: float

    @property
    def sensitivity(self) -> float:
        """Share of the lesions that are found; 0 if there are none."""
        return self.found / self.lesions if self.lesions else 0.0

    def as_values(self) -> dict[str, float]:
        """Numbers for the log."""
        return {
            "validation_loss": self.loss,
            "validation_dice": self.dice,
            "validation_sensitivity": self.sensitivity,
            "validation_false_per_patch": self.false,
        }


def held_out_batches(patches: PatchSource, count: int, batch: int) -> tuple[Batch, ...]:
    """The first patches of a source, made once and kept."""
    numbers = [range(n, min(n + batch, count)) for n in range(0, count, batch)]
    return tuple(collate([patches[number] for number in some]) for some in numbers)


@torch.no_grad()  # type: ignore[untyped-decorator,unused-ignore]  # mypy does not follow torch
def validate(
    network: nn.Module,
    batches: Sequence[Batch],
    criterion: SegmentationLoss,
    device: torch.device,
    *,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Score:
    """Look at fixed patches; the network is left in the mode that it was in."""
    training = network.training
    network.eval()
    losses, both, either = [], 0.0, 0.0
    lesions = hits = false = 0
    for batch in batches:
        label = batch.label.to(device)
        logits = network(batch.image.to(device, memory_format=memory_format))
        losses.append(float(criterion(logits, label)))
        candidate = 1.0 - torch.softmax(logits.float(), dim=1)[:, 0] >= _THRESHOLD
        for found, wanted in zip(candidate.cpu().numpy(), batch.label.numpy(), strict=True):
            found &= wanted != IGNORE
            lesion = (wanted > 0) & (wanted != IGNORE)
            both += 2.0 * float((found & lesion).sum())
            either += float(found.sum() + lesion.sum())
            numbers, count = cc3d.connected_components(lesion, connectivity=26, return_N=True)
            lesions += count
            hits += np.unique(numbers[found & lesion]).size
            others, many = cc3d.connected_components(found, connectivity=26, return_N=True)
            false += many - np.unique(others[found & lesion]).size
    network.train(training)
    shown = sum(len(batch.keys) for batch in batches)
    dice = both / either if either else 0.0
    return Score(float(np.mean(losses)), dice, int(lesions), int(hits), int(false) / shown)
