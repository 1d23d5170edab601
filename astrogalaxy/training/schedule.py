"""Which data, which heads and which rate a step of a training has: a pure function of its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from astrogalaxy.config import RecipeConfig

__all__ = ["BOTH", "HEADS", "Data", "Head", "Phase", "Schedule"]

Data = Literal["fields", "galaxies"]
Head = Literal["detection", "stargalaxy", "morphology"]

#: Data of a phase each of whose steps has as many samples of the fields as of the galaxies.
BOTH: Literal["both"] = "both"

#: The heads of the network; each is learnt where a phase names it.
HEADS: tuple[Head, ...] = ("detection", "stargalaxy", "morphology")


@dataclass(frozen=True)
class Phase:
    """Some steps of one kind.

    Attributes
    ----------
    data : {'fields', 'galaxies', 'both'}
        Set that the steps draw from.
    heads : tuple of str
        Heads that learn; the others stay as they are.
    steps : int
        Length.
    frozen : bool
        The backbone stays as it is.
    rate : float
        Factor on the learning rate.
    """

    data: Data | Literal["both"]
    heads: tuple[Head, ...] = HEADS
    steps: int = 1
    frozen: bool = False
    rate: float = 1.0

    @property
    def sets(self) -> tuple[Data, ...]:
        """The sets that a step's samples come from, in turn."""
        return ("fields", "galaxies") if self.data == BOTH else (self.data,)

    def trains(self, part: str) -> bool:
        """Whether a part of the network learns: its ``neck`` (all of the backbone) or a head."""
        return not self.frozen if part == "neck" else part in self.heads


class Schedule:
    """Phases one after another.

    Parameters
    ----------
    phases : sequence of Phase
        At least one.
    repeat : bool
        Begin anew after the last phase; else the last one lasts.

    Examples
    --------
    >>> schedule = Schedule([Phase("fields", steps=2), Phase("galaxies", steps=1)], repeat=True)
    >>> [schedule.at(step).data for step in range(5)]
    ['fields', 'fields', 'galaxies', 'fields', 'fields']
    """

    def __init__(self, phases: Sequence[Phase], *, repeat: bool = True) -> None:
        self.phases, self.repeat = tuple(phases), repeat

    @classmethod
    def of(cls, recipe: RecipeConfig) -> Self:
        """Schedule of a recipe: one phase that lasts where the recipe names none."""
        given = recipe.training.schedule
        if given is None:
            return cls([Phase("fields" if "fields" in recipe.data.sets else "galaxies")])
        batch = recipe.training.batch
        phases = [Phase(p.data, p.heads, -(-p.samples // batch), p.freeze, p.rate) for p in given.phases]
        return cls(phases, repeat=given.repeat)

    @classmethod
    def in_turn(cls, recipe: RecipeConfig) -> Self:
        """Batches of all sets of a recipe, one after the other."""
        return cls([Phase(name) for name in recipe.data.sets])

    def at(self, step: int) -> Phase:
        """The phase of a step, which counts from 0."""
        length = sum(phase.steps for phase in self.phases)
        left = step % length if self.repeat else min(step, length - 1)
        for phase in self.phases:
            if left < phase.steps:
                break
            left -= phase.steps
        return phase

    @property
    def lasting(self) -> tuple[Phase, ...]:
        """The phases in which the training ends: all of them if it repeats, else the last."""
        return self.phases if self.repeat else self.phases[-1:]
