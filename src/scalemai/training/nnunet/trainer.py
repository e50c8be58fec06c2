"""nnU-Net's trainer with tumors that are put in on the fly, in validation patches too.

Importing this module needs nnU-Net; :mod:`~scalemai.training.nnunet.launch` makes the class known
to it, and the folder ``external`` does for those who call ``nnUNetv2_train`` themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as _base  # noqa: N813 # a module
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from scalemai.errors import ConfigError, ScaleMAIError
from scalemai.training.nnunet.loader import SeededLoader
from scalemai.training.nnunet.settings import SETTINGS, read_settings, scheme_of, write_settings
from scalemai.training.nnunet.transform import Role, Stream, TrainerTransform, trainer_transform

__all__ = ["nnUNetTrainerScaleMAI"]


class nnUNetTrainerScaleMAI(_base.nnUNetTrainer):  # type: ignore[misc] # noqa: N801 # untyped base; nnU-Net's spelling
    """nnU-Net's trainer, with lesions as the first transform of training and validation.

    What is put in is said by ``scalemai.json`` beside the plans
    (:class:`~scalemai.training.nnunet.settings.Settings`).

    Parameters
    ----------
    plans, configuration, fold, dataset_json, device
        As nnU-Net's trainer, which looks at these very names.

    Raises
    ------
    ConfigError
        If the settings are impossible, or the data set was not exported by this package.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 # nnU-Net's own default
    ) -> None:
        plans.setdefault("continue_training", False)  # missing where the class is made directly
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.scheme = scheme_of(dataset_json)
        self.settings = read_settings(Path(self.preprocessed_dataset_folder_base))
        chosen = self.settings
        own = {
            "num_epochs": chosen.epochs,
            "num_iterations_per_epoch": chosen.iterations,
            "num_val_iterations_per_epoch": chosen.validation_iterations,
            "initial_lr": chosen.learning_rate,
            "save_every": chosen.save_every,
        }
        for name, value in own.items():
            if value is not None:
                setattr(self, name, value)

    def initialize(self) -> None:
        """Build the network from the seed of the run."""
        torch.manual_seed(self.settings.seed)  # nnU-Net draws weights from the global generator
        super().initialize()

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's transforms after ours, which sees spacing and intensities of the plans."""
        chain = super().get_training_transforms(*args, **kwargs)
        chain.transforms.insert(0, self._tumors("training", self.num_iterations_per_epoch))
        return chain

    def get_validation_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's transforms after ours: the same lesions in the same patches every epoch."""
        chain = super().get_validation_transforms(*args, **kwargs)
        chain.transforms.insert(0, self._tumors("validation", self.num_val_iterations_per_epoch))
        return chain

    def get_dataloaders(self) -> Any:
        """nnU-Net's loaders, of a class that seeds every batch."""
        with _loaders_of(SeededLoader):
            return super().get_dataloaders()

    def on_train_start(self) -> None:
        """Begin, or go on with the settings that the run began with."""
        kept = Path(self.output_folder) / SETTINGS
        if self.current_epoch and kept.is_file():
            before = json.loads(kept.read_text(encoding="utf-8"))
            now = json.loads(json.dumps(asdict(self.settings)))
            changed = [name for name in now if before.get(name) != now[name]]
            if changed:
                what = f"the run began with other settings: {', '.join(changed)}"
                fix = "restore them, or train into other results"
                raise ConfigError(what, where=kept, fix=fix)
        super().on_train_start()
        write_settings(Path(self.output_folder), self.settings)

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """Log the epoch; stop where the loss is no number, because nothing good can follow."""
        super().on_train_epoch_end(train_outputs)
        loss = float(self.logger.get_value("train_losses", step=-1))
        if not isfinite(loss):
            what = f"the loss of epoch {self.current_epoch} is {loss}"
            fix = "give a lower learning_rate, or look for images with damaged numbers"
            raise ScaleMAIError(what, where=self.output_folder, fix=fix)

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """nnU-Net's validation on whole scans, if it can mean something.

        It compares with the label maps on disk, in which there is nothing of what was put in on
        the fly. Without any lesion in them the score would be that of an empty reference.
        """
        if not self.settings.final_validation:
            self.print_to_log_file("No final validation: the settings leave it out.")
            return
        if not self._references_show_lesions():
            self.print_to_log_file(
                "No final validation: no reference of this fold shows a lesion. "
                "Export frozen synthetic cases with the data set to have one."
            )
            return
        super().perform_actual_validation(save_probabilities)

    def _tumors(self, role: Role, iterations: int) -> TrainerTransform:
        workers = max(get_allowed_n_proc_DA(), 1)
        if role == "validation" and workers > 1:
            workers = workers // 2  # nnU-Net's own share
        stream = Stream(
            self.settings.seed,
            role,
            first=self.current_epoch * iterations // workers,
            period=-(-iterations // workers) if role == "validation" else None,
            rank=self.local_rank,
        )
        plans = Path(self.preprocessed_dataset_folder_base)
        return trainer_transform(
            plans / f"{self.plans_manager.plans_name}.json",
            self.configuration_name,
            self.scheme,
            self.settings,
            stream,
        )

    def _references_show_lesions(self) -> bool:
        lesions = set(self.scheme.class_values.values())
        _, names = self.do_split()
        dataset = self.dataset_class(self.preprocessed_dataset_folder, names)
        for name in dataset.identifiers:
            places = dataset.load_case(name)[3]["class_locations"]
            for key, voxels in places.items():
                values = set(key) if isinstance(key, tuple | list) else {key}
                if values <= lesions and len(voxels):
                    return True
        return False


@contextmanager
def _loaders_of(kind: type) -> Iterator[None]:
    """Let nnU-Net's trainer, which names the class of its loaders outright, make others."""
    usual = _base.nnUNetDataLoader
    _base.nnUNetDataLoader = kind
    try:
        yield
    finally:
        _base.nnUNetDataLoader = usual
