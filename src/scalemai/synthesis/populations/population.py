"""A distribution over lesions: how often which kind where, of what size, and how many per case.

>>> from scalemai.synthesis.populations.population import TumorPopulation
>>> population = TumorPopulation.from_yaml('''
... pancreas:
...   kinds: pdac
...   sites: {head: 0.65, body: 0.15, tail: 0.2}
...   size_mm: {uniform: [8, 40]}
... ''')
>>> population.sample("case_1", 0, seed=0) == population.sample("case_1", 0, seed=0)
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scalemai.errors import ConfigError, UnreadableFileError
from scalemai.io.atomic import atomic_path
from scalemai.synthesis.populations.group import Group, Shares
from scalemai.synthesis.populations.yaml import read_groups, write_groups
from scalemai.synthesis.spec import LesionSpec, random_stream

__all__ = ["Group", "TumorPopulation", "read_population", "write_population"]

ONE_PER_CASE: Shares[int] = ((1, 1.0),)
_MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class TumorPopulation:
    """A distribution over specs.

    Parameters
    ----------
    groups
        What it is a mixture of; their weights are relative to each other. Those of one organ are
        brought together.
    count
        Numbers of lesions per case and their weights.

    Raises
    ------
    ConfigError
        If there is no group, or no weight is above 0.
    """

    groups: tuple[Group, ...]
    count: Shares[int] = ONE_PER_CASE

    def __post_init__(self) -> None:
        organs = list(dict.fromkeys(group.organ for group in self.groups))
        together = sorted(self.groups, key=lambda group: organs.index(group.organ))
        object.__setattr__(self, "groups", tuple(together))
        if not self.groups or not sum(group.weight for group in self.groups) > 0.0:
            fix = "give at least one organ with a weight above 0"
            raise ConfigError("holds no lesion", where="population", fix=fix)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each group among all lesions; they add up to 1."""
        total = sum(group.weight for group in self.groups)
        return tuple(group.weight / total for group in self.groups)

    @property
    def organs(self) -> tuple[str, ...]:
        """The organs that lesions may lie in."""
        names = (group.organ for group in self.groups if group.weight > 0.0)
        return tuple(dict.fromkeys(names))

    def only(self, organs: Sequence[str]) -> TumorPopulation:
        """The population in some organs, for example those that a case has masks of.

        Raises
        ------
        ConfigError
            If no lesion lies in them.
        """
        kept = tuple(group for group in self.groups if group.organ in organs)
        return replace(self, groups=kept)

    def sample(self, case_id: str, number: int, seed: int) -> LesionSpec:
        """Draw the spec of one lesion.

        Parameters
        ----------
        case_id, number
            The case and which of its lesions.
        seed
            The user's seed. The same three give the same spec, whatever was drawn before.
        """
        rng = random_stream(seed, case_id, number, "population")
        which, size, contrast, look, margin = rng.random(5).tolist()
        group = self.groups[_pick(self.shares, which)]
        return group.spec(size=size, contrast=contrast, look=look, margin=margin)

    def count_of(self, case_id: str, seed: int) -> int:
        """Draw the number of lesions of one case."""
        drawn = random_stream(seed, case_id, 0, "population count").random()
        return self.count[_pick([weight for _, weight in self.count], float(drawn))][0]

    def lesions(self, case_id: str, seed: int) -> tuple[LesionSpec, ...]:
        """Draw the specs of all lesions of one case."""
        numbers = range(self.count_of(case_id, seed))
        return tuple(self.sample(case_id, number, seed) for number in numbers)

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "population") -> TumorPopulation:
        """Read a population from YAML.

        Parameters
        ----------
        text
            The YAML; see ``docs/howto/populations.md``.
        where
            What messages call it, mostly a file name.

        Raises
        ------
        ConfigError
            In one line with the path in the YAML, if anything in it is wrong.
        """
        groups, count = read_groups(text, where)
        try:
            return cls(groups, count or ONE_PER_CASE)
        except ConfigError as error:
            raise ConfigError(error.what, where=where, fix=error.fix) from error

    def to_yaml(self, *, about: Sequence[str] = ()) -> str:
        """Write the population as YAML that :meth:`from_yaml` reads as an equal one.

        Parameters
        ----------
        about
            Lines of comment to begin with.
        """
        return write_groups(self.groups, self.count, about)


def read_population(path: Path | str) -> TumorPopulation:
    """Read a YAML file.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    ConfigError
        As :meth:`TumorPopulation.from_yaml`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            fix = "give a YAML file of a population"
            raise ConfigError("is too large for a population", where=path, fix=fix)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError("is no UTF-8 text", where=path, fix="save it as UTF-8") from error
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise UnreadableFileError(what, where=path, fix="check the path") from error
    return TumorPopulation.from_yaml(text, where=path.name)


def write_population(population: TumorPopulation, path: Path, *, about: Sequence[str] = ()) -> None:
    """Write a YAML file, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(population.to_yaml(about=about), encoding="utf-8")


def _pick(weights: Sequence[float], drawn: float) -> int:
    """The index that a number from 0 to 1 falls on."""
    total = np.cumsum(weights)
    last = int(np.flatnonzero(np.asarray(weights) > 0.0)[-1])
    return min(int(np.searchsorted(total, drawn * total[-1], side="right")), last)
