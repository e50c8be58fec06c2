"""Lesions on the fly in MONAI: a dictionary transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalemai.errors import ConfigError, GeometryError, MissingExtraError
from scalemai.geometry import Grid
from scalemai.transforms.grids import affine_of_axes
from scalemai.transforms.patch import PatchSynthesizer

try:
    from monai.data import MetaTensor
    from monai.transforms import MapTransform, RandomizableTransform
    from monai.utils import SpaceKeys, TransformBackends
except ImportError as error:
    what = "MONAI is not installed"
    raise MissingExtraError(what, fix="pip install 'scalemai[monai]'") from error

from scalemai.transforms.tensors import channel_of, edited, label_channel_of

__all__ = ["SynthesizeTumord"]

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class SynthesizeTumord(RandomizableTransform, MapTransform):  # type: ignore[misc] # untyped bases
    """Put lesions into the CT of a sample and into its label map.

    It may stand before or after cropping, before or after ``ScaleIntensityRanged`` (then tell the
    synthesizer the normalization), but not after augmentation of intensities or after resampling
    to voxels whose size the affine does not know. Tensors are not changed in place, so that
    cached volumes stay as they are.

    Parameters
    ----------
    keys
        Keys of the CT and of the label map, both channel first.
    synthesizer
        What to put in.
    prob
        Share of the samples that get lesions; that of the synthesizer if None.
    channel
        Channel of the image that is the CT.
    id_key
        Key under which a sample carries its id. If given, lesions are drawn from the
        synthesizer's streams of ``seed``, id, epoch (:meth:`set_epoch`) and number of the crop,
        not from MONAI's random state: they are the same whatever the number of workers.
    seed
        Seed of these streams; not used without ``id_key``.
    record_key
        Key that receives a line of JSON: the outcome, and recipes and measures of lesions.
    spacing_mm, axes
        Geometry of samples that have no affine (plain tensors): distances in mm, and where the
        array's axes point.

    Raises
    ------
    ConfigError
        If there are not two keys.
    """

    backend = (TransformBackends.NUMPY,)

    def __init__(
        self,
        keys: Sequence[Hashable],
        synthesizer: PatchSynthesizer,
        prob: float | None = None,
        *,
        channel: int = 0,
        id_key: Hashable | None = None,
        seed: int = 0,
        record_key: Hashable | None = None,
        spacing_mm: Sequence[float] | None = None,
        axes: str = "RAS",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if len(self.keys) != 2:
            fix = 'give those of image and label map, as ("image", "label")'
            raise ConfigError(f"{len(self.keys)} of them", where="keys", fix=fix)
        if prob is not None:
            synthesizer = replace(synthesizer, probability=prob)
        # The synthesizer draws whether it is a sample's turn, from the same seed as the rest.
        RandomizableTransform.__init__(self, 1.0)
        self.synthesizer = synthesizer
        self.channel = channel
        self.id_key = id_key
        self.seed = seed
        self.record_key = record_key
        self.spacing_mm = spacing_mm
        self.axes = axes
        self.epoch = 0
        self._seed = 0

    def set_epoch(self, epoch: int) -> None:
        """Number of the epoch, for samples with ids; call it before the loader starts workers."""
        self.epoch = epoch

    def randomize(self, data: Any = None) -> None:
        """Draw the seed of one sample from MONAI's random state."""
        self._seed = int(self.R.randint(2**31 - 1))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A sample with lesions.

        Raises
        ------
        GeometryError
            If image and label map lie on different grids, or are not 3-D.
        ConfigError
            If a sample has neither an affine nor ``spacing_mm``, or no id.
        IntensityError
            If the CT is normalised and the synthesizer was not told how.
        """
        sample = dict(data)
        if len(list(self.key_iterator(sample))) < 2:
            return sample
        image_key, label_key = self.keys
        image, labels = sample[image_key], sample[label_key]
        values = channel_of(image, self.channel, str(image_key))
        numbers = label_channel_of(labels, str(label_key))
        affine = self._affine(image, labels)
        if self.id_key is None:
            self.randomize()
            seed, key = self._seed, ""
        else:
            seed, key = self.seed, self._key(sample, image)
        edit = self.synthesizer.edit(values, numbers, affine, seed=seed, key=key)
        sample[image_key] = edited(image, self.channel, edit, edit.image)
        sample[label_key] = edited(labels, 0, edit, edit.labels)
        if self.record_key is not None:
            sample[self.record_key] = edit.to_json()
        return sample

    def _key(self, sample: Mapping[Hashable, Any], image: Any) -> str:
        if self.id_key not in sample:
            fix = "give every sample an id, or leave id_key out"
            raise ConfigError("the sample has no such key", where=f"{self.id_key}", fix=fix)
        crop = image.meta.get("patch_index", 0) if isinstance(image, MetaTensor) else 0
        return f"{sample[self.id_key]}|{self.epoch}|{int(crop)}"

    def _affine(self, image: Any, labels: Any) -> NDArray[np.float64]:
        """RAS+ mm, whatever the space of the reader."""
        found = [_affine_of(one) for one in (image, labels) if isinstance(one, MetaTensor)]
        if not found:
            if self.spacing_mm is None:
                fix = "load with LoadImaged, or give spacing_mm and axes"
                raise ConfigError("the sample has no affine", where=str(self.keys[0]), fix=fix)
            return affine_of_axes(self.spacing_mm, self.axes)
        if len(found) == 2 and image.shape[1:] == labels.shape[1:]:
            first, second = (Grid(tuple(image.shape[1:]), affine) for affine in found)
            if not first.same_as(second):
                what = f"{self.keys[0]} has {first.describe()}, {self.keys[1]} {second.describe()}"
                raise GeometryError(what, fix="resample the label map to the image")
        return found[0]


def _affine_of(tensor: Any) -> NDArray[np.float64]:
    affine = np.asarray(tensor.affine.cpu().numpy(), np.float64)
    return _TO_RAS @ affine if tensor.meta.get("space") == SpaceKeys.LPS else affine
