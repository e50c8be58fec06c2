"""Which layers of a network see the image, make the classes, or belong to the decoder.

The first two are not guessed from names: the network is built again with one more channel, and
with one more class, and what then has another shape is it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec
from scalemai.errors import ConfigError, UnknownNameError

__all__ = ["DECODERS", "Layers", "decoder_of", "layers_of", "shapes_of"]

DECODERS: Mapping[str, str] = {
    "basic-unet": r"upcat_\d+\.|final_conv\.",
    "dynunet": r"upsamples\.|output_block\.|deep_supervision_heads\.",
    "genesis-unet": r"up_tr\d+\.|out_tr\.",
    "segresnet": r"up_samples\.|up_layers\.|conv_final\.",
    "swin-unetr": r"decoder\d+\.|out\.",
    "unet": r"model\.(1\.submodule\.)*2\.",
}
"""How names of parameters begin that come after the coarsest level, by network."""


@dataclass(frozen=True)
class Layers:
    """Names of tensors of a network.

    Parameters
    ----------
    inputs
        Those whose shape depends on the number of channels of the image.
    head
        Those whose shape depends on the number of classes.
    """

    inputs: frozenset[str] = frozenset()
    head: frozenset[str] = frozenset()


def layers_of(spec: DetectorSpec) -> Layers:
    """First and last layers of the network of a spec."""
    shapes = shapes_of(build_network(spec))
    other = replace(
        spec,
        preprocessing=replace(
            spec.preprocessing,
            organ_channel=not spec.preprocessing.organ_channel,
            organ_window_hu=None,  # it goes with the organ's channel alone
        ),
    )
    inputs = _differing(shapes, shapes_of(build_network(other)))
    return Layers(inputs, _differing(shapes, shapes_of(build_network(_other_classes(spec)))))


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    """Shape of each tensor of a network by name."""
    return {name: value.shape for name, value in network.state_dict().items()}


def decoder_of(spec: DetectorSpec, names: Mapping[str, object]) -> frozenset[str]:
    """Names among ``names`` that belong to the decoder, head included.

    Raises
    ------
    ConfigError
        If it is not known where the decoder of the network begins.
    """
    if spec.network.name not in DECODERS:
        raise UnknownNameError("network with a known decoder", spec.network.name, DECODERS)
    begins = re.compile(DECODERS[spec.network.name])
    found = frozenset(name for name in names if begins.match(name))
    if not found:
        what = f"no layer of {spec.network.name} is known to belong to the decoder"
        raise ConfigError(what, where="mode", fix="train all of it: full")
    return found


def _differing(one: Mapping[str, torch.Size], other: Mapping[str, torch.Size]) -> frozenset[str]:
    return frozenset(name for name, shape in one.items() if other.get(name) != shape)


def _other_classes(spec: DetectorSpec) -> DetectorSpec:
    """The spec with another number of classes of the same organ."""
    from scalemai.anatomy import organ

    facts = organ(spec.organ)
    known = [facts.lesion, *(kind.name for kind in facts.kinds)]
    unused = [name for name in known if name not in spec.classes]
    classes = (*spec.classes, unused[0]) if unused else spec.classes[:-1]
    return replace(spec, classes=classes)
