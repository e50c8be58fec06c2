"""The loss against MONAI's where everything is known, and against leaving voxels out elsewhere."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
monai = pytest.importorskip("monai.losses", reason="Dice is MONAI's")

from scalemai.training.config import LossConfig  # noqa: E402
from scalemai.training.losses import SegmentationLoss  # noqa: E402


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 6, 7, 8, generator=stream)
    return logits, torch.randint(0, 3, (2, 6, 7, 8), generator=stream, dtype=torch.uint8)


def test_where_all_is_known_it_is_the_loss_of_monai() -> None:
    logits, labels = drawn()
    theirs = monai.DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True,
        lambda_dice=0.5, lambda_ce=2.0,
    )(logits, labels[:, None])  # fmt: skip
    ours = SegmentationLoss(2, LossConfig(dice=0.5, cross_entropy=2.0))(logits, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_class_weights_are_those_of_torch() -> None:
    logits, labels = drawn()
    weights = (0.2, 1.0, 3.0)
    theirs = torch.nn.functional.cross_entropy(logits, labels.long(), torch.tensor(weights))
    config = LossConfig(dice=0.0, class_weights=weights)
    ours = SegmentationLoss(2, config)(logits, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_unknown_voxels_count_as_if_they_were_not_there() -> None:
    logits, labels = drawn()
    labels[:, :2] = 255
    without = SegmentationLoss(2, LossConfig())(logits[:, :, 2:], labels[:, 2:])
    masked = SegmentationLoss(2, LossConfig())(logits, labels)
    assert masked.item() == pytest.approx(without.item(), rel=1e-6)
    logits.requires_grad_()
    SegmentationLoss(2, LossConfig())(logits, labels).backward()
    assert logits.grad[:, :, :2].abs().max() == 0.0
    assert logits.grad[:, :, 2:].abs().min() > 0.0


def test_a_batch_of_which_nothing_is_known_costs_nothing() -> None:
    logits, labels = drawn()
    logits.requires_grad_()
    loss = SegmentationLoss(2, LossConfig())(logits, torch.full_like(labels, 255))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.count_nonzero(logits.grad) == 0


def test_each_patch_counts_alike_whatever_the_size_of_its_lesion() -> None:
    labels = torch.zeros(2, 8, 8, 8, dtype=torch.uint8)
    labels[0, :6, :6, :6] = 1
    labels[1, :2, :2, :2] = 1
    right = torch.stack([-9.0 * (labels * 2.0 - 1.0), 9.0 * (labels * 2.0 - 1.0)], dim=1)
    missed = []
    for patch in (0, 1):
        logits = right.clone()
        logits[patch, 0], logits[patch, 1] = 9.0, -9.0
        each = LossConfig(cross_entropy=0.0, each_patch=True, smooth_voxels=1.0)
        pooled = LossConfig(cross_entropy=0.0)
        missed.append([float(SegmentationLoss(1, how)(logits, labels)) for how in (each, pooled)])
    (large, large_pooled), (small, small_pooled) = missed
    assert small == pytest.approx(large, rel=0.15)
    assert small_pooled < 0.1 * large_pooled


def test_false_voxels_of_a_patch_without_lesions_cost_in_units_of_the_smoothing() -> None:
    how = LossConfig(cross_entropy=0.0, each_patch=True, smooth_voxels=10.0)
    labels = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    for count in (0, 10, 30):
        found = torch.zeros(8 * 8 * 8)
        found[:count] = 1.0
        found = found.reshape(1, 8, 8, 8)
        logits = torch.stack([40.0 - 80.0 * found, 80.0 * found - 40.0], dim=1)
        loss = SegmentationLoss(1, how)(logits, labels)
        assert loss.item() == pytest.approx(1.0 - 10.0 / (10.0 + count), abs=1e-5)
