"""Loaders of training batches: which crops a step of a recipe sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.data import DataLoader

from astrogalaxy.config import RecipeConfig
from astrogalaxy.training.crops import Batch, CropStream, collate
from astrogalaxy.training.examples import Example
from astrogalaxy.training.galaxies import GalaxyBank, MosaicStream
from astrogalaxy.training.prepare import Prepared
from astrogalaxy.training.schedule import Data, Schedule
from astrogalaxy.training.sets import LabelledSets
from astrogalaxy.training.streams import FieldStream, ScheduledStream, Stream

__all__ = ["TrainingData"]

# Kinds of examples that are trained on.
_TRAINED_ON = {"train", "sky", "labels"}
_UNSEEN = {"val", "held"}
# Seed offset of the galaxies' stream, which must not be that of the fields.
_GALAXIES_SEED = 2**22
# Most single galaxies to calibrate on; more would make it no better.
_MOST_GALAXIES = 500


@dataclass(frozen=True)
class TrainingData:
    """What a recipe learns from.

    Attributes
    ----------
    recipe : RecipeConfig
        The recipe.
    plan : list of Prepared
        Examples of simulated and real fields, in ``folder``.
    folder : Path
        Where these lie.
    train, val : LabelledSets
        Parts of the paper's two sets.
    """

    recipe: RecipeConfig
    plan: list[Prepared]
    folder: Path
    train: LabelledSets = field(default_factory=LabelledSets)
    val: LabelledSets = field(default_factory=LabelledSets)

    def loader(
        self, schedule: Schedule, *, seed: int, start: int = 0, workers: int = 0, validation: bool = False
    ) -> DataLoader[Batch]:
        """Endless batches.

        Parameters
        ----------
        schedule : Schedule
            Which set each step draws from.
        seed : int
            Of the crops.
        start : int
            Step of the first batch.
        workers : int
            Processes that prepare batches.
        validation : bool
            Draw from what is not trained on or, if there is nothing, from all there is.

        Returns
        -------
        torch.utils.data.DataLoader
            It never ends.
        """
        wanted = {name for phase in schedule.phases for name in phase.sets}
        streams = {name: self._stream(name, seed, validation=validation) for name in sorted(wanted)}
        batch = self.recipe.training.batch
        return DataLoader(
            ScheduledStream(schedule, streams, batch=batch, start=start),
            batch_size=batch,
            collate_fn=collate,
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=workers > 0,
        )  # type: ignore[arg-type,return-value]

    def examples(self, kind: str) -> Iterator[Example]:
        """Whole examples of a kind."""
        for item in self.plan:
            if item.kind == kind:
                yield Example.load(self.folder / f"{item.name}.npy")

    def unseen_fields(self) -> Iterator[Example]:
        """Whole fields that are not trained on."""
        yield from self.examples("val")
        yield from map(Example.load, self.val.fields)

    def unseen_galaxies(self) -> Iterator[Example]:
        """Single galaxies that are not trained on."""
        if self.val.galaxies:
            bank = GalaxyBank.load(self.val.galaxies)
            yield from map(bank.example, range(min(len(bank), _MOST_GALAXIES)))

    def _stream(self, name: Data, seed: int, *, validation: bool) -> Stream:
        recipe, sets = self.recipe, self.val if validation else self.train
        crop, channels, seeing = recipe.training.crop, recipe.model.inputs, recipe.model.seeing
        if name == "galaxies" and sets.galaxies and recipe.data.galaxies:
            mix_up = recipe.data.galaxies.mix_up
            seed += _GALAXIES_SEED
            return MosaicStream(sets.galaxies, crop=crop, channels=channels, mix_up=mix_up, seeing=seeing, seed=seed)
        if sets.fields:
            return FieldStream(sets.fields, crop=crop, channels=channels, seeing=seeing, seed=seed)
        kinds = _UNSEEN if validation else _TRAINED_ON
        items = [item for item in self.plan if item.kind in kinds] or self.plan
        return CropStream(
            [self.folder / f"{item.name}.npy" for item in items],
            [item.weight for item in items],
            crop=crop,
            channels=channels,
            seeing=seeing,
            seed=seed,
        )
