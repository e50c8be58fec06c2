"""The same networks under the names of other frameworks.

============================  ===============================================================
``nnU-Net``                   its plain U-Net, which is MONAI's DynUNet
``self-supervised Swin``      MONAI's pre-trained Swin transformer, the encoder of SwinUNETR
============================  ===============================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["translations"]

_ENCODER = re.compile(
    r"(?P<before>.*?)encoder\.stages\.(?P<stage>\d+)\.0\.convs\.(?P<conv>\d)\.(?P<rest>conv|norm)\."
    r"(?P<kind>weight|bias)"
)
_DECODER = re.compile(
    r"(?P<before>.*?)decoder\.stages\.(?P<stage>\d+)\.convs\.(?P<conv>\d)\.(?P<rest>conv|norm)\."
    r"(?P<kind>weight|bias)"
)
_UPWARD = re.compile(r"(?P<before>.*?)decoder\.transpconvs\.(?P<stage>\d+)\.(?P<kind>weight|bias)")
_LAST = re.compile(r"(?P<before>.*?)decoder\.seg_layers\.(?P<stage>\d+)\.(?P<kind>weight|bias)")


_PERCEPTRON = re.compile(r"\.mlp\.fc([12])\.")


def translations(names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Names of a checkpoint in MONAI's words, by the layout that they may be of.

    Parameters
    ----------
    names
        Names as they are to be shown, by plain name.

    Returns
    -------
    dict
        By layout, the same with new names; names that have no counterpart stay.
    """
    found = {}
    if (translated := _nnunet(names)) is not None:
        found["nnU-Net"] = translated
    if any(_PERCEPTRON.search(name) for name in names):
        found["self-supervised Swin"] = {
            _PERCEPTRON.sub(r".mlp.linear\1.", name): source for name, source in names.items()
        }
    return found


def _nnunet(names: Mapping[str, str]) -> dict[str, str] | None:
    """Names of nnU-Net's plain U-Net in the words of MONAI's DynUNet; None if it is another one.

    The two are the same network: two convolutions with instance normalisation and leaky ReLU at
    each level, transposed convolutions between them. nnU-Net also has a bias before each
    normalisation, which takes it away again; DynUNet has none, and none is missed. Residual
    encoders have no counterpart.
    """
    coarsest = max(
        (int(hit["stage"]) for name in names if (hit := _ENCODER.fullmatch(name))), default=None
    )
    if coarsest is None:
        return None
    return {_translated(name, coarsest) or name: source for name, source in names.items()}


def _translated(name: str, coarsest: int) -> str | None:
    if "all_modules." in name or "decoder.encoder." in name:
        return None  # the same tensors under second names
    if hit := _ENCODER.fullmatch(name):
        stage = int(hit["stage"])
        block = f"downsamples.{stage - 1}"
        block = "input_block" if stage == 0 else "bottleneck" if stage == coarsest else block
    elif hit := _DECODER.fullmatch(name):
        block = f"upsamples.{hit['stage']}.conv_block"
    elif hit := _UPWARD.fullmatch(name):
        return f"{hit['before']}upsamples.{hit['stage']}.transp_conv.conv.{hit['kind']}"
    elif hit := _LAST.fullmatch(name):
        if int(hit["stage"]) < coarsest - 1:
            return None  # heads of coarser levels, for deep supervision
        return f"{hit['before']}output_block.conv.conv.{hit['kind']}"
    else:
        return None
    number = int(hit["conv"]) + 1
    layer = f"conv{number}.conv" if hit["rest"] == "conv" else f"norm{number}"
    return f"{hit['before']}{block}.{layer}.{hit['kind']}"
