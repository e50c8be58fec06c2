"""Which cases are learned from and which are held out, whatever the number of either."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from scalemai.errors import ConfigError
from scalemai.synthesis.populations.population import TumorPopulation
from scalemai.synthesis.spec import LesionSpec
from scalemai.training.augment import augmentation_for
from scalemai.training.cache import Cache
from scalemai.training.config import TrainingConfig
from scalemai.training.corruption import OrganCorruption
from scalemai.training.patches import Patches

__all__ = ["Lesions", "Material", "any_lesion", "choose_cases"]

Lesions = TumorPopulation | Sequence[LesionSpec] | None
"""What is grown on the fly; None for nothing."""

_USUAL_MM = (3.0, 40.0)

_SIGNS: tuple[Literal["hypo", "hyper"], ...] = ("hypo", "hyper")
_CONTRASTS_HU = (-45.0, -25.0, -15.0, 15.0, 25.0, 45.0)
"""Author's choice: from what noise nearly hides to what is plain."""


@dataclass(frozen=True)
class Material:
    """The data of a training.

    Parameters
    ----------
    cases
        To learn from.
    held_out
        To validate with; None for nothing.
    real
        Cases of both whose own lesions are shown.
    lesions
        What is grown in them.
    """

    cases: Cache
    held_out: Cache | None
    real: tuple[str, ...]
    lesions: Lesions

    @property
    def hashes(self) -> Mapping[str, str]:
        """Hash of the arrays of every case."""
        both = {**self.cases.cases, **(self.held_out.cases if self.held_out else {})}
        return {name: both[name].sha256 for name in sorted(both)}

    @property
    def digest(self) -> str:
        """SHA-256 of the cases, how they are used, and what is grown in them."""
        lesions = self.lesions
        grown = (
            lesions.to_yaml()
            if isinstance(lesions, TumorPopulation)
            else [asdict(spec) for spec in lesions or ()]
        )
        held_out = [] if self.held_out is None else sorted(self.held_out.ids)
        text = json.dumps([self.hashes, held_out, sorted(self.real), grown], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def patches(self, config: TrainingConfig) -> Patches:
        """Patches to learn from.

        Raises
        ------
        ConfigError
            If there is nothing to learn.
        """
        sampling = config.sampling
        return Patches(
            self.cases,
            config.detector,
            real=[name for name in self.real if name in self.cases.cases],
            synthetic=self.lesions,
            seed=config.seed,
            length=config.steps * config.batch * config.compute.devices,
            share_background=sampling.share_background,
            share_synthetic=sampling.share_synthetic,
            augment=augmentation_for(config.detector) if sampling.augment else None,
            organ_corruption=OrganCorruption() if sampling.organ_corruption else None,
            effects=sampling.effects,
            lesions=sampling.lesions,
            least_detectability=sampling.least_detectability,
        )

    def held_out_patches(self, config: TrainingConfig) -> Patches | None:
        """Patches of held-out cases, with other lesions than those of the training.

        Organ masks are damaged as in the training, since predicted ones are damaged; attenuation
        is left as it is.
        """
        if self.held_out is None:
            return None
        sampling = config.sampling
        own = hashlib.sha256(f"validation {config.seed}".encode()).digest()
        return Patches(
            self.held_out,
            config.detector,
            real=[name for name in self.real if name in self.held_out.cases],
            synthetic=self.lesions,
            seed=int.from_bytes(own[:4]),
            length=config.validation.patches,
            share_background=sampling.share_background,
            share_synthetic=sampling.share_synthetic,
            organ_corruption=OrganCorruption() if sampling.organ_corruption else None,
            effects=sampling.effects,
            lesions=sampling.lesions,
            least_detectability=sampling.least_detectability,
        )


def any_lesion(organ: str) -> tuple[LesionSpec, ...]:
    """Lesions of an organ of all kinds and of 3 to 40 mm, for those who ask for no others.

    A third of them look as the facts of their kind say. The others are darker or brighter than
    their organ whatever their kind, have a rim or a dead core, or grow out of the organ: a detector
    that has seen textbook lesions only misses others.
    """
    usual = LesionSpec(organ=organ, diameter_mm=_USUAL_MM)
    others = [
        replace(usual, necrosis=True),
        *(replace(usual, exophytic=True, contrast=sign) for sign in (None, *_SIGNS) * 2),
        *(replace(usual, contrast=sign, rim=rim) for sign in _SIGNS for rim in (None, True)),
        *(replace(usual, contrast_hu=contrast_hu) for contrast_hu in _CONTRASTS_HU),
    ]
    return (usual,) * (len(others) // 2) + tuple(others)


def choose_cases(
    cache: Cache,
    config: TrainingConfig,
    lesions: Lesions,
    *,
    real: int | None = None,
    frozen: Collection[str] = (),
) -> Material:
    """Divide prepared cases into those to learn from and those to validate with.

    Which side a case is on depends on its name and the seed alone, and fewer real cases are
    always part of more, so that trainings with more or fewer data can be compared.

    Parameters
    ----------
    cache
        All prepared cases.
    config
        Its seed, and the share that is held out.
    lesions
        What is grown.
    real
        Number of annotated cases with lesions to learn from; all if None.
    frozen
        Ids of synthetic cases from disk, which are used whatever the number of real ones.

    Raises
    ------
    ConfigError
        If nothing could be held out, or there are fewer real cases than asked for.
    """
    shown, normal = (_ordered(cache.ids_of(origin), config.seed) for origin in ("real", "normal"))
    held: set[str] = set()
    if config.validation.looks:
        share = config.validation.share
        groups = [shown] if lesions is None else [shown, normal]
        for group in groups:
            held |= set(group[: round(share * len(group))])
        if not held:
            held = {max(groups, key=len)[0]} if any(groups) else set()
        if len(held) == len(cache) or (lesions is None and held == set(shown) and shown):
            what = f"with {len(shown) if lesions is None else len(cache)} case none can be held out"
            fix = "give more cases, or --set validation.share=0"
            raise ConfigError(what, where="validation.share", fix=fix)
    learned = [name for name in shown if name not in held]
    ours = [name for name in learned if name not in frozen]
    if real is not None and real > len(ours):
        what = f"{real} cases with lesions are asked for, but {len(ours)} are there to learn from"
        raise ConfigError(what, where="real", fix="ask for fewer, or for all")
    used = set(ours if real is None else ours[:real]) | (set(learned) & set(frozen))
    kept = [
        name for name in cache.ids if name not in held and (name in used or name in set(normal))
    ]
    if not kept:
        fix = "use some of the real cases, or add normal ones"
        raise ConfigError("no case is left to learn from", where="real", fix=fix)
    return Material(
        cache.subset(kept),
        cache.subset([name for name in cache.ids if name in held]) if held else None,
        tuple(name for name in cache.ids if name in used or (name in held and name in set(shown))),
        lesions,
    )


def _ordered(names: Sequence[str], seed: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
