"""What nnU-Net finds under ``nnUNet_extTrainer``: the class itself stays in its own module."""

from scalemai.training.nnunet.trainer import nnUNetTrainerScaleMAI as nnUNetTrainerScaleMAI
