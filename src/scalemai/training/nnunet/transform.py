"""The synthesizer as the first transform of nnU-Net's trainer: kinds as classes, fixed streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scalemai.training.nnunet.labels import LabelScheme
from scalemai.training.nnunet.plans import axes_of, read_plans
from scalemai.training.nnunet.settings import Settings
from scalemai.transforms.batchgenerators import SynthesizeTumorTransform
from scalemai.transforms.nnunet_plans import read_nnunet_plans
from scalemai.transforms.patch import PatchEdit, PatchSynthesizer

__all__ = ["Role", "Stream", "TrainerTransform", "trainer_transform"]

Role = Literal["training", "validation"]


@dataclass(frozen=True)
class Stream:
    """Which batches a loader makes.

    Parameters
    ----------
    seed
        Seed of the run.
    role
        Training or validation.
    first
        Number of the first batch of each worker, so that a run that goes on does not begin anew.
    period
        After how many batches they repeat; None if never. Validation shows the same lesions in
        the same patches every epoch.
    rank
        Number of the process, where several train one model.
    """

    seed: int
    role: Role
    first: int = 0
    period: int | None = None
    rank: int = 0

    def entropy(self, worker: int, count: int) -> list[int]:
        """What the generators of one batch are seeded with.

        Parameters
        ----------
        worker
            Number of the worker, from 0.
        count
            How many batches it has made.
        """
        number = self.first + count
        if self.period is not None:
            number %= self.period
        role = ("training", "validation").index(self.role)
        return [self.seed, role, self.rank, worker, number]


class TrainerTransform(SynthesizeTumorTransform):
    """Put lesions into patches, each labelled as its kind wants; keep what nobody verified.

    Parameters
    ----------
    synthesizer, spacing_mm, axes
        As for :class:`~scalemai.transforms.batchgenerators.SynthesizeTumorTransform`.
    scheme
        What the values of the label map mean.
    stream
        Which batches its loader makes.
    """

    def __init__(
        self,
        synthesizer: PatchSynthesizer,
        spacing_mm: tuple[float, float, float],
        axes: str,
        *,
        scheme: LabelScheme,
        stream: Stream,
    ) -> None:
        super().__init__(synthesizer, spacing_mm, axes)
        self.scheme = scheme
        self.stream = stream

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """Draw the lesions of one patch, and correct their labels."""
        params = super().get_parameters(**data_dict)
        before = np.asarray(data_dict["segmentation"][0])
        params["edit"] = relabelled(params["edit"], before, self.scheme)
        return params


def relabelled(edit: PatchEdit, before: NDArray[Any], scheme: LabelScheme) -> PatchEdit:
    """An edit whose labels say which class each lesion is.

    Voxels that losses leave out, and padding (-1), stay what they are.

    Parameters
    ----------
    edit
        The edit of a patch, whose lesions all have one value per organ.
    before
        Label map of the patch, array (i, j, k).
    scheme
        What its values mean.
    """
    if edit.region is None or edit.labels is None:
        return edit
    labels = edit.labels.copy()
    low = [side.start for side in edit.region]
    for one in edit.lesions:
        i, j, k = (
            slice(side.start - start, side.stop - start)
            for side, start in zip(one.region, low, strict=True)
        )
        labels[i, j, k][one.mask] = scheme.of_lesion(one.recipe.organ, one.recipe.kind)
    here = before[edit.region]
    kept = (here == scheme.ignore) | (here < 0)
    labels[kept] = here[kept]
    return replace(edit, labels=labels)


def trainer_transform(
    plans: Path, configuration: str, scheme: LabelScheme, settings: Settings, stream: Stream
) -> TrainerTransform:
    """The transform of a configuration: spacing, axes and normalisation from the plans.

    Raises
    ------
    ConfigError
        If the plans do not serve, or the population has an organ that the data set has not.
    """
    facts = read_nnunet_plans(plans, configuration, axes=axes_of(read_plans(plans)))
    first: dict[str, int] = {}
    for (host, _), value in scheme.class_values.items():
        first.setdefault(host, value)
    synthesizer = PatchSynthesizer(
        specs=settings.lesions(tuple(scheme.organs)),
        labels=scheme.names,
        lesion_value=first,
        probability=settings.probability,
        normalization=facts.normalization,
        effects=settings.effects,
    )
    return TrainerTransform(synthesizer, facts.spacing_mm, facts.axes, scheme=scheme, stream=stream)
