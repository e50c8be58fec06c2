"""Which value each structure has in the label maps that nnU-Net is given.

Values are consecutive, as nnU-Net wants them: organs from 1, further structures, classes of
lesions, and last, if it is needed, the one that losses leave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scalemai.anatomy import canonical, is_lesion, organ, structures
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError
from scalemai.training.classes import class_value, kind_of_mask

__all__ = ["IGNORE_NAME", "LabelScheme", "class_name"]

IGNORE_NAME = "ignore"
"""What nnU-Net calls the value that losses leave out."""


_HIGHEST = 255


@dataclass(frozen=True, kw_only=True)
class LabelScheme:
    """What the values of label maps mean.

    Parameters
    ----------
    organs
        Organs, each with the classes of lesions that are looked for in it: the lesion structure
        of the organ or kinds of its lesions (see :class:`~scalemai.detector.spec.DetectorSpec`).
    structures
        Further structures that get a value of their own.
    regions
        Whether nnU-Net is taught overlapping regions, the organ with its lesions and the lesions
        in it, in place of labels that exclude each other.

    Raises
    ------
    ConfigError
        If an organ, structure or class is named twice or is not known, or a further structure is
        a lesion, or an organ of the scheme or a part of one.
    """

    organs: Mapping[str, Sequence[str]]
    structures: Sequence[str] = ()
    regions: bool = False
    detectors: tuple[DetectorSpec, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.organs:
            fix = "name at least one"
            raise ConfigError("there are none", where="organs", fix=fix)
        detectors = tuple(DetectorSpec(name, tuple(found)) for name, found in self.organs.items())
        object.__setattr__(self, "detectors", detectors)
        object.__setattr__(self, "organs", {one.organ: one.classes for one in detectors})
        if len(self.organs) < len(detectors):
            raise ConfigError("one is named twice", where="organs", fix="name each once")
        named = tuple(canonical(name) for name in self.structures)
        object.__setattr__(self, "structures", named)
        taken = {part for one in detectors for part in _parts(one.organ)}
        for name in named:
            if name in taken or is_lesion(name) or named.count(name) > 1:
                what = f"{name} is a lesion, a part of an organ of the scheme, or named twice"
                fix = "name other structures, each once"
                raise ConfigError(what, where="structures", fix=fix)
        if self.ignore > _HIGHEST:
            what = f"{self.ignore} values are more than a byte holds"
            raise ConfigError(what, where="structures", fix="name fewer")

    @property
    def values(self) -> dict[str, int]:
        """Value of each organ and structure, without lesions."""
        return {name: n for n, name in enumerate((*self.organs, *self.structures), start=1)}

    @property
    def class_values(self) -> dict[tuple[str, str], int]:
        """Value of each class of lesions, by organ and class."""
        first = 1 + len(self.values)
        keys = [(one.organ, name) for one in self.detectors for name in one.classes]
        return {key: n for n, key in enumerate(keys, start=first)}

    @property
    def ignore(self) -> int:
        """Value of voxels that losses leave out."""
        return 1 + len(self.values) + len(self.class_values)

    @property
    def names(self) -> dict[int, str]:
        """Structure of each value; kinds of lesions are lesions of their organ."""
        found = {value: name for name, value in self.values.items()}
        for (host, _), value in self.class_values.items():
            found[value] = organ(host).lesion
        return found

    def titles(self) -> dict[int, str]:
        """Name of each value in nnU-Net's ``dataset.json``."""
        found = {value: name for name, value in self.values.items()}
        for (host, name), value in self.class_values.items():
            found[value] = class_name(host, name)
        return found

    def of_lesion(self, host: str, kind: str | None) -> int:
        """Value of a lesion of an organ: of its class, else of the organ, which it is part of.

        Parameters
        ----------
        host
            The organ.
        kind
            Kind of the lesion; None if it is not known.
        """
        detector = next(one for one in self.detectors if one.organ == host)
        number = class_value(detector, kind)
        if 1 <= number <= len(detector.classes):
            return self.class_values[host, detector.classes[number - 1]]
        return self.ignore if number else self.values[host]

    def dataset_labels(self, *, ignore: bool) -> dict[str, Any]:
        """The ``labels`` of ``dataset.json``, and for regions their order.

        Parameters
        ----------
        ignore
            Whether a case has voxels that are left out: else the value is not named, because
            nnU-Net draws its patches otherwise where it is.
        """
        titles = self.titles()
        labels: dict[str, Any] = {"background": 0}
        for value, title in titles.items():
            inside = [v for (host, _), v in self.class_values.items() if host == title]
            labels[title] = [value, *inside] if self.regions and inside else value
        if ignore:
            labels[IGNORE_NAME] = self.ignore
        found: dict[str, Any] = {"labels": labels}
        if self.regions:
            # Later ones are written over earlier ones: lesions over their organs.
            found["regions_class_order"] = list(titles)
        return found

    def to_json(self) -> dict[str, Any]:
        """The scheme in plain types."""
        organs = {name: list(classes) for name, classes in self.organs.items()}
        return {"organs": organs, "structures": list(self.structures), "regions": self.regions}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> LabelScheme:
        """The scheme of plain types.

        Raises
        ------
        ConfigError
            If they are none.
        """
        try:
            return cls(
                organs={str(name): list(found) for name, found in plain["organs"].items()},
                structures=list(plain["structures"]),
                regions=bool(plain["regions"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            what = f"is no scheme of labels ({error!r})"
            raise ConfigError(what, where="labels", fix="export the data set again") from error


def class_name(host: str, name: str) -> str:
    """The structure that a class of lesions is, or a name of its own where there is none.

    Parameters
    ----------
    host
        The organ.
    name
        The class: a lesion structure, or a kind of the organ's lesions.
    """
    facts = organ(host)
    if name == facts.lesion:
        return name
    for known in structures():
        if known.parent == facts.lesion and kind_of_mask(known.name, facts) == name:
            return known.name
    return f"{facts.name}_{name}"


def _parts(host: str) -> set[str]:
    facts = organ(host)
    return {facts.name, *facts.structures, *(s for found in facts.sites.values() for s in found)}
