"""Which trainings a few-shot learning curve has: nested cases, several draws, the same test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from scalemai.errors import ConfigError
from scalemai.training.cache import Cache

__all__ = ["FewShot", "FewShotRun", "plan_few_shot"]

_GROUPS = ("transfer", "scratch")


@dataclass(frozen=True)
class FewShot:
    """Which runs a learning curve has.

    Parameters
    ----------
    sizes
        Numbers of annotated cases with lesions. 0, the start as it is (the weights that were
        taken over beside random ones, neither trained), is always among them.
    draws
        How often cases are drawn: without several, nobody knows what the choice of cases does.
    test_share
        Share of the annotated cases with lesions that is kept for testing; at least one is.
    groups
        ``"transfer"``, ``"scratch"`` or both.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """

    sizes: tuple[int, ...] = (0, 1, 2, 5, 10)
    draws: int = 3
    test_share: float = 0.3
    groups: tuple[str, ...] = _GROUPS

    def __post_init__(self) -> None:
        asked = sorted(set(self.sizes))
        object.__setattr__(self, "sizes", tuple(sorted({0, *asked})))
        if not asked or asked[0] < 0:
            fix = "give numbers of cases from 0, for example 0,1,2,5,10"
            raise ConfigError(f"{tuple(asked)} are no sizes", where="sizes", fix=fix)
        if self.draws < 1:
            raise ConfigError(f"{self.draws} is impossible", where="draws", fix="give 1 or more")
        if not 0.0 < self.test_share < 1.0:
            what = f"{self.test_share:g} is impossible"
            raise ConfigError(what, where="test_share", fix="give a share above 0, below 1")
        if not self.groups or not set(self.groups) <= set(_GROUPS):
            fix = f"give {' or '.join(_GROUPS)}"
            raise ConfigError(f"{self.groups} are no groups", where="groups", fix=fix)


@dataclass(frozen=True)
class FewShotRun:
    """One training of a learning curve; without cases, a start that nothing is learned after.

    Parameters
    ----------
    group
        ``"transfer"`` or ``"scratch"``.
    draw, seed
        Which draw of cases, and the seed of the training.
    cases
        Ids to learn from.
    """

    group: str
    draw: int
    seed: int
    cases: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name of the run."""
        return f"{self.group}-{len(self.cases)}-{self.draw}"


def plan_few_shot(
    cache: Cache, plan: FewShot, seed: int
) -> tuple[tuple[FewShotRun, ...], tuple[str, ...]]:
    """All runs of a learning curve, and the ids of the cases that all are tested on.

    Which cases are for testing, and the order of a draw, follow from ids and seed alone.

    Parameters
    ----------
    cache
        Prepared cases; those with lesions are drawn from.
    plan
        Sizes, draws, share for testing.
    seed
        Of draws and trainings; draw d trains with seed + d.

    Raises
    ------
    ConfigError
        If there are too few cases.
    """
    shown = _ordered(cache.ids_of("real"), f"{seed} test")
    tested = max(round(plan.test_share * len(shown)), 1)
    test, pool = shown[:tested], shown[tested:]
    if len(pool) < plan.sizes[-1]:
        what = (
            f"{len(shown)} cases with lesions, {tested} of them for testing, leave "
            f"{len(pool)} to learn from, fewer than {plan.sizes[-1]}"
        )
        raise ConfigError(what, where="sizes", fix="give smaller sizes, or more cases")
    runs = []
    for draw in range(plan.draws):
        order = _ordered(pool, f"{seed} draw {draw}")
        runs += [
            FewShotRun(group, draw, seed + draw, tuple(order[:size]))
            for size in plan.sizes
            for group in plan.groups
        ]
    return tuple(runs), tuple(sorted(test))


def _ordered(names: Sequence[str], salt: str) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{salt} {name}".encode()).digest())
