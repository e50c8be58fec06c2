"""nnU-Net's three folders, and the environment variables that it finds them by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scalemai.errors import ConfigError
from scalemai.training.nnunet.export import dataset_name

__all__ = ["EXTERNAL_TRAINERS", "Folders", "folders_of"]

EXTERNAL_TRAINERS = Path(__file__).parent / "external"
"""What ``nnUNet_extTrainer`` has to be, for those who call ``nnUNetv2_train -tr``."""


@dataclass(frozen=True)
class Folders:
    """Where nnU-Net keeps a data set.

    Parameters
    ----------
    dataset
        The raw data set, ``.../DatasetNNN_NAME``.
    all_preprocessed, all_results
        Folders of all preprocessed data sets, and of all trained models.
    """

    dataset: Path
    all_preprocessed: Path
    all_results: Path

    @property
    def number(self) -> int:
        """Number of the data set."""
        return dataset_name(self.dataset)[0]

    @property
    def preprocessed(self) -> Path:
        """Folder of the preprocessed data set."""
        return self.all_preprocessed / self.dataset.name

    @property
    def results(self) -> Path:
        """Folder of its trained models."""
        return self.all_results / self.dataset.name

    @contextmanager
    def known(self, *, loaders: int = 1) -> Iterator[None]:
        """Let nnU-Net, which reads nothing but the environment, find the folders for a while.

        Parameters
        ----------
        loaders
            Processes that make batches; 0 makes them in this process. Its planner needs 1.
        """
        wanted = {
            "nnUNet_raw": str(self.dataset.parent),
            "nnUNet_preprocessed": str(self.all_preprocessed),
            "nnUNet_results": str(self.all_results),
            "nnUNet_n_proc_DA": str(loaders),
            "nnUNet_def_n_proc": str(max(loaders, 1)),
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def folders_of(
    dataset: Path, *, preprocessed: Path | None = None, results: Path | None = None
) -> Folders:
    """The folders of a raw data set; those not given stand beside that of raw data sets.

    Raises
    ------
    ConfigError
        If there is no data set, or it is not named as nnU-Net wants.
    """
    dataset = Path(dataset).absolute()
    dataset_name(dataset)
    if not (dataset / "dataset.json").is_file():
        what = "holds no dataset.json"
        raise ConfigError(what, where=dataset, fix="run scalemai nnunet export first")
    root = dataset.parent.parent
    return Folders(
        dataset,
        (preprocessed or root / "nnUNet_preprocessed").absolute(),
        (results or root / "nnUNet_results").absolute(),
    )
