"""Dice plus cross-entropy, both without the voxels whose class nobody knows."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional

from scalemai.training.classes import IGNORE
from scalemai.training.config import LossConfig

__all__ = ["SegmentationLoss"]


class SegmentationLoss(nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """MONAI's Dice loss of the lesion classes plus weighted cross-entropy.

    MONAI's own masked loss takes the softmax after the mask, so that unknown voxels still count
    as uncertain ones; here probabilities come first, then the mask.

    Parameters
    ----------
    classes
        Number of lesion classes.
    config
        Weights.
    """

    def __init__(self, classes: int, config: LossConfig) -> None:
        super().__init__()
        weights = torch.tensor(config.class_weights or (1.0,) * (1 + classes))
        self.register_buffer("weights", weights, persistent=False)
        self._config = config
        smooth = config.smooth_voxels
        self._dice = DiceLoss(
            batch=not config.each_patch, reduction="none", smooth_nr=smooth, smooth_dr=smooth
        )

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch.

        Parameters
        ----------
        logits
            Tensor (batch, 1 + classes, x, y, z).
        labels
            Tensor (batch, x, y, z) of 0, classes from 1, and
            :data:`~scalemai.training.classes.IGNORE`.

        Returns
        -------
        Tensor
            One number; 0 with a gradient of 0 if no voxel is known.
        """
        logits = logits.float()
        labels = labels.long()
        known = labels != IGNORE
        filled = torch.where(known, labels, 0)
        entropy = functional.cross_entropy(
            logits, labels, self.weights, ignore_index=IGNORE, reduction="sum"
        )
        # The mean as torch weights it, which would be 0 / 0 if nothing is known.
        share = (self.weights[filled] * known).sum().clamp_min(1e-8)
        total = self._config.cross_entropy * entropy / share
        if self._config.dice > 0.0:
            total = total + self._config.dice * self._overlap(logits, filled, known)
        return total

    def _overlap(
        self, logits: torch.Tensor, labels: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        inside = known[:, None].to(logits.dtype)
        found = torch.softmax(logits, dim=1)[:, 1:] * inside
        wanted = torch.stack([labels == n for n in range(1, logits.shape[1])], dim=1)
        each = self._dice(found, wanted.to(logits.dtype) * inside)
        each = each.reshape(-1, found.shape[1]).mean(dim=0)
        weights = self.weights[1:]
        return (each * weights).sum() / weights.sum().clamp_min(1e-8) * known.any()
