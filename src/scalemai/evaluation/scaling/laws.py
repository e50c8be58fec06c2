"""Laws that say how a measure grows with the number of training scans.

Every law has the form ``loss(n) = floor + scale * shape(n)`` with a shape that falls as n grows and
``scale >= 0``: more scans never make a fitted law worse. The loss is the measure itself where lower
is better, and its negative where higher is better.

==================== ============================== ============================================
name                 loss                           parameters
==================== ============================== ============================================
power law with floor ``a + b n^-c``                 floor, scale, exponent
exponential          ``a + b exp(-n / tau)``        floor, scale, scans (tau)
logarithmic          ``a - b log n``                loss at one scan, gain per e-fold of scans
pure power           ``a + b n^-c``, a is perfect   scale, exponent
broken power         two pure powers that meet      scale, both exponents, scans where they meet
==================== ============================== ============================================

The power law with a floor is the usual form for learning curves (Hestness et al.,
arXiv:1712.00409); the logarithmic law is its limit for small exponents, and has no floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BROKEN_POWER",
    "EXPONENTIAL",
    "LAWS",
    "LOGARITHMIC",
    "POWER_WITH_FLOOR",
    "PURE_POWER",
    "Law",
]

Array = NDArray[np.float64]
_EXPONENTS = (0.02, 4.0)
"""Range of exponents: 35 doublings halve the error at one end, and one doubling takes 94 % of it
at the other. Author's choice; a fit at an end is marked."""


@dataclass(frozen=True)
class Law:
    """A law, in numbers of scans relative to a reference number.

    Parameters
    ----------
    name
        As in the table above.
    parameters
        Names of the parameters that are fitted.
    has_floor
        Whether the floor is fitted; otherwise it is the loss of a perfect result.
    saturates
        Whether the loss never falls below the floor.
    fewest_sizes
        Different numbers of scans that a fit needs.
    box
        Takes relative sizes (smallest, largest); returns the ranges of the parameters of the
        shape, which are searched; none if the shape has no parameters.
    shape
        Takes relative sizes (..., sizes) and parameters (..., parameters); returns the shape.
    inverse
        Takes values of the shape (...,) and parameters (..., parameters); returns the relative
        size, infinite where the shape never falls so low.
    """

    name: str
    parameters: tuple[str, ...]
    has_floor: bool
    saturates: bool
    fewest_sizes: int
    box: Callable[[float, float], tuple[tuple[float, float], ...]]
    shape: Callable[[Array, Array], Array]
    inverse: Callable[[Array, Array], Array]


def _power(n: Array, parameters: Array) -> Array:
    power: Array = np.exp(-np.exp(parameters[..., :1]) * np.log(n))
    return power


def _power_inverse(shape: Array, parameters: Array) -> Array:
    return _exp(-_log(shape) / np.exp(parameters[..., 0]))


def _exponential(n: Array, parameters: Array) -> Array:
    fall: Array = np.exp(-n / np.exp(parameters[..., :1]))
    return fall


def _exponential_inverse(shape: Array, parameters: Array) -> Array:
    scans: Array = -_log(shape) * np.exp(parameters[..., 0])
    return np.maximum(scans, 0.0)


def _logarithm(n: Array, parameters: Array) -> Array:
    fall: Array = -np.log(n) + np.zeros(parameters.shape[:-1])[..., None]
    return fall


def _logarithm_inverse(shape: Array, parameters: Array) -> Array:
    return _exp(-shape)


def _broken(n: Array, parameters: Array) -> Array:
    first, second, at = (parameters[..., i : i + 1] for i in range(3))
    beyond = np.log(n) - at
    shape: Array = np.exp(-np.exp(np.where(beyond < 0, first, second)) * beyond)
    return shape


def _broken_inverse(shape: Array, parameters: Array) -> Array:
    logarithm = _log(shape)
    exponent = np.exp(np.where(logarithm > 0, parameters[..., 0], parameters[..., 1]))
    return _exp(parameters[..., 2] - logarithm / exponent)


def _log(shape: Array) -> Array:
    """The logarithm, minus infinity for what is not positive."""
    with np.errstate(divide="ignore"):
        found: Array = np.where(shape > 0, np.log(np.where(shape > 0, shape, 1.0)), -np.inf)
    return found


def _exp(value: Array) -> Array:
    with np.errstate(over="ignore"):
        found: Array = np.exp(value)
    return found


_LOG_EXPONENTS = (float(np.log(_EXPONENTS[0])), float(np.log(_EXPONENTS[1])))

POWER_WITH_FLOOR = Law(
    "power law with floor", ("floor", "scale", "exponent"), True, True, 6,
    lambda low, high: (_LOG_EXPONENTS,), _power, _power_inverse,
)  # fmt: skip
EXPONENTIAL = Law(
    "exponential", ("floor", "scale", "scans"), True, True, 6,
    # Faster than a third of the smallest, or slower than 30 times the largest, none can be told.
    lambda low, high: ((float(np.log(low / 3)), float(np.log(high * 30))),),
    _exponential, _exponential_inverse,
)  # fmt: skip
LOGARITHMIC = Law(
    "logarithmic", ("floor", "scale"), True, False, 6,
    lambda low, high: (), _logarithm, _logarithm_inverse,
)  # fmt: skip
PURE_POWER = Law(
    "pure power", ("scale", "exponent"), False, True, 6,
    lambda low, high: (_LOG_EXPONENTS,), _power, _power_inverse,
)  # fmt: skip
BROKEN_POWER = Law(
    "broken power", ("scale", "exponent", "exponent beyond", "scans"), False, True, 8,
    lambda low, high: (_LOG_EXPONENTS, _LOG_EXPONENTS, (float(np.log(low)), float(np.log(high)))),
    _broken, _broken_inverse,
)  # fmt: skip

LAWS = (POWER_WITH_FLOOR, EXPONENTIAL, LOGARITHMIC, PURE_POWER, BROKEN_POWER)
"""All laws. Fewer than 6 sizes bend a curve of three parameters too little to tell laws apart, and
8 let a broken one have three on each side of the break (author's choices)."""
