"""A patient and a scanner made by code: CT with exact masks, without any data.

The anatomy is a set of smooth fields in millimetres; see
:func:`~scalemai.cases.phantom.anatomy.build_anatomy`.
"""

from scalemai.cases.phantom.anatomy import Anatomy, build_anatomy
from scalemai.cases.phantom.generate import (
    Phantom,
    generate_phantom,
    write_phantom,
    write_phantom_case,
)
from scalemai.cases.phantom.lesion_draw import LesionDraw
from scalemai.cases.phantom.spec import PhantomSpec, sample_spec

__all__ = [
    "Anatomy",
    "LesionDraw",
    "Phantom",
    "PhantomSpec",
    "build_anatomy",
    "generate_phantom",
    "sample_spec",
    "write_phantom",
    "write_phantom_case",
]
