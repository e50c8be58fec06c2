"""A detector in plain data: what it looks for and how a scan is prepared for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from scalemai.anatomy import organ
from scalemai.errors import ConfigError

__all__ = ["FORMAT", "DetectorSpec", "NetworkSpec", "Preprocessing"]

FORMAT = "scalemai-detector/1"
"""Version of ``detector.json``; other versions are refused."""

_FINEST_MM, _COARSEST_MM = 0.2, 10.0


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes the array that the network sees.

    Parameters
    ----------
    spacing_mm
        Voxel size along right, anterior and superior.
    window_hu
        Attenuation that becomes -1 and 1; beyond, it is cut off. It belongs to the detector, not
        to a cohort, so that a new hospital is seen alike.
    margin_mm
        How far beyond the organ's box the network looks.
    organ_channel
        Whether the organ's mask is a channel.
    organ_window_hu
        Attenuation relative to the organ's median in this scan that becomes -1 and 1 in a channel
        of its own: a lesion that differs little from its organ is seen, and contrast phases are
        made alike. It needs the organ's mask. None for no such channel.

    Raises
    ------
    ConfigError
        If a length or a window is impossible.
    """

    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 1.5)
    window_hu: tuple[float, float] = (-175.0, 250.0)
    margin_mm: float = 20.0
    organ_channel: bool = True
    organ_window_hu: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in self.spacing_mm))
        object.__setattr__(self, "window_hu", tuple(float(h) for h in self.window_hu))
        if len(self.spacing_mm) != 3 or not all(
            _FINEST_MM <= step <= _COARSEST_MM for step in self.spacing_mm
        ):
            fix = f"give three lengths from {_FINEST_MM:g} to {_COARSEST_MM:g} mm"
            raise ConfigError(f"{self.spacing_mm} is no spacing", where="spacing_mm", fix=fix)
        _check_window("window_hu", self.window_hu)
        if self.organ_window_hu is not None:
            own = tuple(float(h) for h in self.organ_window_hu)
            object.__setattr__(self, "organ_window_hu", own)
            _check_window("organ_window_hu", own)
            if not self.organ_channel:
                fix = "give organ_channel = true, or leave the window out"
                what = "the organ is not known without its mask"
                raise ConfigError(what, where="organ_window_hu", fix=fix)
        if not 0.0 <= self.margin_mm <= 500.0:
            fix = "give 0 to 500 mm"
            raise ConfigError(f"{self.margin_mm:g} mm is no margin", where="margin_mm", fix=fix)

    @property
    def channels(self) -> int:
        """Number of channels that the network sees."""
        return 1 + self.organ_channel + (self.organ_window_hu is not None)


def _check_window(name: str, ends: tuple[float, ...]) -> None:
    if len(ends) != 2 or not ends[1] - ends[0] >= 1.0:
        fix = "give the lower end in HU first"
        raise ConfigError(f"{ends} is no window", where=name, fix=fix)


@dataclass(frozen=True)
class NetworkSpec:
    """Which network, and its parameters beyond channels and classes.

    Parameters
    ----------
    name
        A name of :data:`scalemai.detector.network.NETWORKS`.
    parameters
        Its own keyword arguments, in plain types.
    """

    name: str = "basic-unet"
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorSpec:
    """What a detector looks for and how.

    Parameters
    ----------
    organ
        The organ in which lesions are looked for; its mask, given or predicted, places the region
        of interest.
    classes
        What the channels of the output mean, after the background: lesion structures, for example
        ``("pancreatic_lesion",)``, or lesion kinds of the organ, ``("pdac", "pnet", "cyst")``.
    preprocessing, network
        How scans are prepared, and what looks at them.
    patch
        Voxels of a training patch and of a window at inference, each a multiple of 16.

    Raises
    ------
    ConfigError
        If the organ is not known, a class is neither its lesion nor a kind of it, or the patch is
        impossible.
    """

    organ: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing()
    network: NetworkSpec = NetworkSpec()
    patch: tuple[int, int, int] = (64, 64, 64)

    def __post_init__(self) -> None:
        facts = organ(self.organ)
        object.__setattr__(self, "organ", facts.name)
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "patch", tuple(int(n) for n in self.patch))
        kinds = {kind.name for kind in facts.kinds}
        if not self.classes or len(set(self.classes)) < len(self.classes):
            fix = "name each lesion structure or kind once"
            raise ConfigError("no classes, or one twice", where="classes", fix=fix)
        for name in self.classes:
            if name != facts.lesion and name not in kinds:
                fix = f"give {facts.lesion}, or kinds: {', '.join(sorted(kinds))}"
                what = f"{name!r} is no lesion of the {facts.name}"
                raise ConfigError(what, where="classes", fix=fix)
        if len(self.patch) != 3 or any(n < 16 or n % 16 for n in self.patch):
            fix = "give three multiples of 16"
            raise ConfigError(f"{self.patch} is no patch", where="patch", fix=fix)

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain types, for JSON."""
        plain = asdict(self)
        plain["network"]["parameters"] = dict(self.network.parameters)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> DetectorSpec:
        """The spec of plain data.

        Raises
        ------
        ConfigError
            If something is missing, unknown or of the wrong kind.
        """
        try:
            rest = dict(plain)
            preprocessing = Preprocessing(**rest.pop("preprocessing"))
            network = NetworkSpec(**rest.pop("network"))
            return cls(**rest, preprocessing=preprocessing, network=network)
        except (TypeError, KeyError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            fix = "take the detector.json that training wrote"
            raise ConfigError(f"is no detector ({error})", where="detector", fix=fix) from error
