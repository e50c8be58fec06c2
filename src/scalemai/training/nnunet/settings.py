"""What the trainer puts in on the fly: a JSON beside the plans, because nnU-Net passes no more.

::

    nnUNet_preprocessed/DatasetNNN_NAME/scalemai.json
    {"population": "", "probability": 0.5, "seed": 0, ...}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from scalemai.errors import ConfigError, UnknownNameError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.nnunet.labels import LabelScheme

__all__ = ["SETTINGS", "Settings", "read_settings", "scheme_of", "write_settings"]

SETTINGS = "scalemai.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is put in, how often, and how long nnU-Net trains.

    Parameters
    ----------
    population
        The distribution that lesions are drawn from, as YAML; if it is empty, every organ of the
        data set gets lesions of the usual kinds, 3 to 40 mm.
    probability
        Share of the patches that get lesions, those aside that have no room. It is that of
        validation patches, too.
    effects
        Whether lesions push tissue, dilate ducts and so on (see
        :class:`~scalemai.transforms.patch.PatchSynthesizer`).
    seed
        Seed of the run: of weights, patches, lesions and augmentation.
    epochs, iterations, validation_iterations
        Of training; nnU-Net's own numbers (1000, 250, 50) if None.
    learning_rate
        nnU-Net's own (0.01) if None.
    save_every
        Epochs between checkpoints to go on from.
    final_validation
        Whether whole scans are predicted after training, mirrored eight times, which takes
        minutes per scan without a GPU.

    Raises
    ------
    ConfigError
        If a value is impossible.
    """

    population: str = ""
    probability: float = 0.5
    effects: bool = False
    seed: int = 0
    epochs: int | None = None
    iterations: int | None = None
    validation_iterations: int | None = None
    learning_rate: float | None = None
    save_every: int = 10
    final_validation: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            what = f"{self.probability:g} is no share"
            raise ConfigError(what, where="probability", fix="give 0 to 1")
        for name in ("epochs", "iterations", "validation_iterations", "save_every"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{value!r} is no number", where=name, fix="give 1 or more")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(f"{self.seed!r} is no seed", where="seed", fix="give 0 or more")
        if self.learning_rate is not None and not self.learning_rate > 0.0:
            what = f"{self.learning_rate:g} is no rate"
            raise ConfigError(what, where="learning_rate", fix="give more than 0")
        if self.population:
            self.lesions(())  # refuse a wrong population before anything is started

    def lesions(self, organs: tuple[str, ...]) -> TumorPopulation | tuple[LesionSpec, ...]:
        """What lesions are drawn from.

        Parameters
        ----------
        organs
            The organs of the data set.
        """
        if self.population:
            return TumorPopulation.from_yaml(self.population)
        return tuple(LesionSpec(organ=name) for name in organs)


def read_settings(folder: Path) -> Settings:
    """Read the settings beside the plans; the usual ones if there are none.

    Raises
    ------
    UnreadableFileError
        If the file is damaged.
    ConfigError
        If a field is not known, or impossible.
    """
    path = folder / SETTINGS
    if not path.exists():
        return Settings()
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"cannot be read as JSON ({error})"
        raise UnreadableFileError(what, where=path, fix="mend or remove it") from error
    if not isinstance(plain, dict):
        raise ConfigError("is no JSON object", where=path, fix="mend or remove it")
    known = {field.name for field in fields(Settings)}
    for name in plain:
        if name not in known:
            unknown = UnknownNameError("setting", name, known)
            unknown.where = str(path)
            raise unknown
    try:
        return Settings(**plain)
    except ConfigError as error:
        where = path if error.where is None else f"{path}: {error.where}"
        raise ConfigError(error.what, where=where, fix=error.fix) from error
    except TypeError as error:
        raise ConfigError(f"is garbled ({error})", where=path, fix="mend it") from error


def write_settings(folder: Path, settings: Settings) -> Path:
    """Write the settings beside the plans, whole or not at all."""
    path = folder / SETTINGS
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=1) + "\n", encoding="utf-8")
    return path


def scheme_of(dataset: Mapping[str, Any]) -> LabelScheme:
    """What the values of a data set's label maps mean, from its ``dataset.json``.

    Raises
    ------
    ConfigError
        If it was not exported by this package: then nobody says which label is a lesion of which
        organ, and where the axes of the images point.
    """
    if "scalemai" not in dataset:
        what = "was not written by scalemai nnunet export"
        fix = "export this data set, as any other, into a new one"
        raise ConfigError(what, where="dataset.json", fix=fix)
    return LabelScheme.from_json(dataset["scalemai"])
