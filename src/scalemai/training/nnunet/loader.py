"""Batches that follow from seed, worker and number, in place of a generator that nobody seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

from scalemai.training.nnunet.transform import Stream

__all__ = ["SeededLoader"]


class SeededLoader(nnUNetDataLoader):  # type: ignore[misc] # untyped base
    """nnU-Net's loader, seeded anew for every batch.

    nnU-Net draws cases, patches and augmentation from the generators of numpy and PyTorch of the
    process, and seeds neither. The stream comes from the first transform.
    """

    _made = 0

    @property
    def stream(self) -> Stream:
        """Which batches this loader makes."""
        found: Stream = self.transforms.transforms[0].stream
        return found

    def generate_train_batch(self) -> dict[str, Any]:
        """One batch: the same for the same stream, worker and number."""
        entropy = np.random.SeedSequence(self.stream.entropy(self.thread_id, self._made))
        first, second = entropy.generate_state(2)
        np.random.seed(int(first))  # noqa: NPY002 # the framework's own way
        torch.manual_seed(int(second))
        self._made += 1
        batch: dict[str, Any] = super().generate_train_batch()
        return batch
