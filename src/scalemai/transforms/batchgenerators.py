"""Lesions on the fly in batchgeneratorsv2, and so in nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalemai.errors import ConfigError, MissingExtraError
from scalemai.transforms.grids import affine_of_axes
from scalemai.transforms.nnunet_plans import read_nnunet_plans
from scalemai.transforms.patch import PatchEdit, PatchSynthesizer

try:
    from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
except ImportError as error:
    what = "batchgeneratorsv2 is not installed"
    raise MissingExtraError(what, fix="pip install 'scalemai[nnunet]'") from error

from scalemai.transforms.tensors import channel_of, edited

__all__ = ["SynthesizeTumorTransform"]


class SynthesizeTumorTransform(BasicTransform):  # type: ignore[misc] # untyped base
    """Put lesions into the image of a patch and into its segmentation.

    Let it be the first transform, before patches are rotated, scaled and made noisy: only then
    spacing and normalisation are those of the plans. Wrap it in ``RandomTransform`` for a share
    of the patches, or give the synthesizer a probability.

    What is drawn comes from numpy's global generator: nnU-Net's loader seeds it in every worker,
    PyTorch's only where seeds are given.

    Parameters
    ----------
    synthesizer
        What to put in.
    spacing_mm
        Distance between voxels along the axes of the patches, in mm.
    axes
        Where these axes point, as three codes of R, L, A, P, S, I; ``"SPL"`` are slices, rows and
        columns. The axis along the body must be right; left and right matter where a site of the
        pancreas is asked for.
    channel
        Channel of the image that is the CT.
    record_key
        Key that receives a line of JSON: the outcome, and recipes and measures of lesions.

    Raises
    ------
    ConfigError
        If there are not three spacings, or the axes are no directions.
    """

    def __init__(
        self,
        synthesizer: PatchSynthesizer,
        spacing_mm: Sequence[float],
        axes: str = "SPL",
        *,
        channel: int = 0,
        record_key: str | None = None,
    ) -> None:
        super().__init__()
        self.synthesizer = synthesizer
        self.affine = affine_of_axes(spacing_mm, axes)
        self.channel = channel
        self.record_key = record_key

    @classmethod
    def from_plans(
        cls,
        path: str | Path,
        configuration: str = "3d_fullres",
        *,
        channel: int = 0,
        axes: str = "SPL",
        record_key: str | None = None,
        **synthesizer: Any,
    ) -> SynthesizeTumorTransform:
        """Spacing, axes and normalisation from ``nnUNetPlans.json``.

        Parameters
        ----------
        path, configuration, channel, axes
            As for :func:`~scalemai.transforms.nnunet_plans.read_nnunet_plans`.
        record_key
            As above.
        **synthesizer
            Of :class:`~scalemai.transforms.patch.PatchSynthesizer`, except ``normalization``.

        Raises
        ------
        ConfigError
            If the plans do not serve, or the synthesizer is asked for the impossible.
        """
        facts = read_nnunet_plans(path, configuration, channel=channel, axes=axes)
        return cls(
            PatchSynthesizer(normalization=facts.normalization, **synthesizer),
            facts.spacing_mm,
            facts.axes,
            channel=channel,
            record_key=record_key,
        )

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """Draw the lesions of one patch."""
        if data_dict.get("image") is None or data_dict.get("segmentation") is None:
            fix = "give image and segmentation"
            raise ConfigError("lesions need both", where="data_dict", fix=fix)
        seed = int(np.random.randint(2**31 - 1))  # noqa: NPY002 # the one that workers seed
        # Further channels are what an earlier stage of a cascade predicted.
        edit = self.synthesizer.edit(
            channel_of(data_dict["image"], self.channel, "image"),
            channel_of(data_dict["segmentation"], 0, "segmentation"),
            self.affine,
            seed=seed,
        )
        return {"edit": edit}

    def apply(self, data_dict: dict[str, Any], **params: Any) -> dict[str, Any]:
        """The patch with its lesions; other entries of the dictionary stay."""
        edit: PatchEdit = params["edit"]
        image, segmentation = data_dict["image"], data_dict["segmentation"]
        data_dict["image"] = edited(image, self.channel, edit, edit.image)
        data_dict["segmentation"] = edited(segmentation, 0, edit, edit.labels)
        if self.record_key is not None:
            data_dict[self.record_key] = edit.to_json()
        return data_dict
