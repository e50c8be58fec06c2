"""What tissue families differ in: where growth may go, where it starts, what it takes the place of.

Solid organs need none of this; a hollow organ grows in its wall, a lung nodule in air, a bone
lesion behind a cortex. Each family is one module, each organ is data.
"""

from scalemai.synthesis.families.surroundings import blend_of, is_absolute, surroundings

__all__ = ["blend_of", "is_absolute", "surroundings"]
