"""Lesions on the fly in TorchIO: a random transform, and the one that repeats it."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalemai.errors import ConfigError, GeometryError, MissingExtraError
from scalemai.geometry import Grid
from scalemai.transforms.patch import PatchSynthesizer

try:
    import torchio
    from torchio.transforms import Transform
    from torchio.transforms.augmentation import RandomTransform
except ImportError as error:
    what = "TorchIO is not installed"
    raise MissingExtraError(what, fix="pip install 'scalemai[torchio]'") from error

from scalemai.transforms.tensors import channel_of, edited, label_channel_of

__all__ = ["RandomTumor", "Tumor"]


class RandomTumor(RandomTransform):  # type: ignore[misc] # untyped base
    """Put lesions into the CT of a subject and into its label map.

    What is drawn comes from PyTorch's generator, which ``torch.manual_seed`` and the loader's
    workers seed. The history of the subject receives a :class:`Tumor` that repeats it.

    Parameters
    ----------
    synthesizer
        What to put in.
    image, label
        Names of the ``ScalarImage`` in HU, or normalised as the synthesizer was told, and of the
        ``LabelMap``.
    id_key
        Name under which a subject carries its id. If given, lesions are drawn from the
        synthesizer's streams of ``seed``, id and epoch (:meth:`set_epoch`), not from PyTorch's
        generator: they are the same whatever the number of workers.
    seed
        Seed of these streams; not used without ``id_key``.
    record_key
        Name that receives a line of JSON: the outcome, and recipes and measures of lesions.
    **kwargs
        Of TorchIO's ``Transform``, for example ``p``.
    """

    def __init__(
        self,
        synthesizer: PatchSynthesizer,
        *,
        image: str = "image",
        label: str = "label",
        id_key: str | None = None,
        seed: int = 0,
        record_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.synthesizer = synthesizer
        self.image = image
        self.label = label
        self.id_key = id_key
        self.seed = seed
        self.record_key = record_key
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Number of the epoch, for subjects with ids; call it before the loader starts workers."""
        self.epoch = epoch

    def apply_transform(self, subject: Any) -> Any:
        """Draw, apply and note in the history; see :meth:`Tumor.apply_transform`."""
        seed, key = self.seed, ""
        if self.id_key is None:
            seed = self._get_random_seed()
        elif self.id_key in subject:
            key = f"{subject[self.id_key]}|{self.epoch}"
        else:
            fix = "give every subject an id, or leave id_key out"
            raise ConfigError("the subject has no such key", where=self.id_key, fix=fix)
        repeat = Tumor(
            self.synthesizer,
            seed=seed,
            key=key,
            image=self.image,
            label=self.label,
            record_key=self.record_key,
            **self._get_base_args(),
        )
        # The subject was copied already, if it was to be.
        subject = repeat.apply_transform(subject)
        repeat._add_transform_to_subject_history(subject)
        return subject


class Tumor(Transform):  # type: ignore[misc] # untyped base
    """Put lesions in that a seed decides: the same subject gets the same ones.

    Parameters
    ----------
    synthesizer, image, label, record_key
        As for :class:`RandomTumor`.
    seed, key
        Keys of the random streams.
    **kwargs
        Of TorchIO's ``Transform``.
    """

    def __init__(
        self,
        synthesizer: PatchSynthesizer,
        seed: int,
        key: str = "",
        image: str = "image",
        label: str = "label",
        record_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.synthesizer = synthesizer
        self.seed = seed
        self.key = key
        self.image = image
        self.label = label
        self.record_key = record_key
        self.args_names = ["synthesizer", "seed", "key", "image", "label", "record_key"]

    def apply_transform(self, subject: Any) -> Any:
        """Put lesions into a subject, in place.

        Raises
        ------
        ConfigError
            If the subject lacks the image or the label map, or the label map is one-hot.
        GeometryError
            If they lie on different grids.
        IntensityError
            If the CT is normalised and the synthesizer was not told how.
        """
        image = _named(subject, self.image, torchio.ScalarImage)
        labels = _named(subject, self.label, torchio.LabelMap)
        values, numbers = (
            channel_of(image.data, 0, self.image),
            label_channel_of(labels.data, self.label),
        )
        grid = Grid(values.shape, np.asarray(image.affine, np.float64))
        if values.shape == numbers.shape:
            other = Grid(numbers.shape, np.asarray(labels.affine, np.float64))
            if not grid.same_as(other):
                what = f"{self.image} has {grid.describe()}, {self.label} {other.describe()}"
                raise GeometryError(what, fix=f"resample the label map: Resample({self.image!r})")
        # TorchIO lets numpy raise on every overflow and division while transforms run.
        with np.errstate(divide="warn", over="warn", invalid="warn"):
            edit = self.synthesizer.edit(values, numbers, grid.affine, seed=self.seed, key=self.key)
        if edit.region is not None:
            image.set_data(edited(image.data, 0, edit, edit.image))
            labels.set_data(edited(labels.data, 0, edit, edit.labels))
        if self.record_key is not None:
            subject[self.record_key] = edit.to_json()
            subject.update_attributes()
        return subject


def _named(subject: Any, name: str, kind: type) -> Any:
    found = subject.get(name)
    if not isinstance(found, kind):
        have = ", ".join(subject.get_images_names())
        what = f"the subject has no {kind.__name__} of that name"
        raise ConfigError(what, where=name, fix=f"it has {have}; give image=... and label=...")
    return found
