"""Cases in three parts: to learn from, to choose the weights with, to test with.

Weights that were chosen because they did well in some scans do better there than elsewhere, so
what is gained is read from scans that nothing was chosen with either.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from scalemai.errors import ConfigError
from scalemai.statistics.proportions import FEWEST_FOR_SHARES
from scalemai.training.cache import Cache
from scalemai.training.config import TrainingConfig
from scalemai.training.material import Lesions, Material, choose_cases
from scalemai.training.watching import Scans

__all__ = ["FEWEST_CASES", "Divided", "divide"]

FEWEST_CASES = 3

_TESTED = 2  # times as many hosts as are chosen with; author's choice


@dataclass(frozen=True)
class Divided:
    """Cases in three parts.

    Parameters
    ----------
    choice
        What is learned from; its held-out cases are those to choose with.
    test
        The same, with the cases to test with held out.
    """

    choice: Material
    test: Material

    def growing(self, lesions: Lesions) -> Divided:
        """The same cases with other lesions."""
        return Divided(replace(self.choice, lesions=lesions), replace(self.test, lesions=lesions))

    def scans(self, config: TrainingConfig, repeats: int) -> tuple[Scans, Scans]:
        """Whole scans to choose with and to test with, with lesions that no patch has.

        Parameters
        ----------
        config
            Its seed, and how many hosts are chosen with at most. Twice as many are tested with,
            and at least as many as an interval needs, as far as there are.
        repeats
            Sets of lesions in each host.

        Raises
        ------
        ConfigError
            If ``repeats`` is below 1.
        """
        if repeats < 1:
            raise ConfigError(f"{repeats} is impossible", where="repeats", fix="give 1 or more")
        most = config.validation.scans
        choice = _scans(self.choice, config, repeats, most)
        wide = max(_TESTED * most, FEWEST_FOR_SHARES) if most else 0
        return choice, _scans(self.test, config, repeats, wide)


def divide(cache: Cache, config: TrainingConfig, lesions: Lesions, *, where: str) -> Divided:
    """Divide prepared cases.

    Which part a case is in depends on names and the seed alone. Those that a training with the
    same seed and cases held out are to test with, as far as they go: the detector that is trained
    on has not learned from them either.

    Parameters
    ----------
    cache
        All prepared cases.
    config
        Its seed, and the share that is held out for the last two parts together; at least two
        cases are.
    lesions
        What is grown.
    where
        What the cases are called in messages.

    Raises
    ------
    ConfigError
        If there are fewer than three cases.
    """
    if len(cache) < FEWEST_CASES:
        what = f"{len(cache)} cases are too few to learn from, to choose with and to test with"
        raise ConfigError(what, where=where, fix=f"give {FEWEST_CASES} or more")
    share = max(config.validation.share, 2.0 / len(cache))
    own = replace(config, validation=replace(config.validation, share=share))
    both = choose_cases(cache, own, lesions)
    assert both.held_out is not None  # the share is above 0
    held = _first_held_out_first(both.held_out, config.seed)
    tested = (len(held) + 1) // 2
    test, choice = (both.held_out.subset(sorted(some)) for some in (held[:tested], held[tested:]))
    return Divided(replace(both, held_out=choice), replace(both, held_out=test))


def _scans(material: Material, config: TrainingConfig, repeats: int, most: int) -> Scans:
    assert material.held_out is not None  # divide holds some out
    seeds = (replace(config, seed=config.seed + number) for number in range(repeats))
    patches = [one for seed in seeds if (one := material.held_out_patches(seed)) is not None]
    hosts = list(material.held_out.cases.values())
    return Scans(hosts[: most or None], patches)


def _first_held_out_first(held: Cache, seed: int) -> list[str]:
    """Ids by how soon :func:`choose_cases` holds them out of the cases like them."""
    place: dict[str, tuple[float, str]] = {}
    for names in (held.ids_of("real"), held.ids_of("normal")):
        order = sorted(names, key=lambda name: _key(seed, name))
        place |= {name: ((n + 0.5) / len(order), name) for n, name in enumerate(order)}
    return sorted(place, key=place.__getitem__)


def _key(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
