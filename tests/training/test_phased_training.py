"""Tests of trainings by a schedule: what learns when, and that an interruption changes nothing of it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from astrogalaxy.config import RecipeConfig
from astrogalaxy.detection.network import AstroYolo
from astrogalaxy.models import Architecture, load_weights
from astrogalaxy.training import train as module
from astrogalaxy.training.crops import Batch
from astrogalaxy.training.finish import Trained
from astrogalaxy.training.module import AstroYoloTrainer, learn
from astrogalaxy.training.schedule import Phase
from astrogalaxy.training.train import refresh_normalisation, train

Make = Callable[..., RecipeConfig]
PARTS = ("neck", "detection", "stargalaxy", "morphology")
PHASES = [
    {"data": "fields", "heads": ["detection", "stargalaxy"], "samples": 4},
    {"data": "galaxies", "heads": ["morphology"], "samples": 2, "freeze": True, "rate": 0.5},
]


class _Watch(Callback):
    """Remember after each step which parts it changed, and at what rate; stop at one of them if asked to."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.changed: dict[int, list[str]] = {}
        self.rate: dict[int, float] = {}
        self.galaxies: dict[int, bool] = {}

    def on_train_batch_start(self, trainer: Any, trained: AstroYoloTrainer, batch: Batch, _index: int) -> None:
        self.before = {name: (_state(part), _weights(part)) for name, part in trained.network.named_children()}
        self.rate[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]
        self.galaxies[trainer.global_step] = bool(batch.targets.disk.isfinite().any())

    def on_train_batch_end(self, trainer: lightning.Trainer, trained: AstroYoloTrainer, *_: Any) -> None:
        after = {name: (_state(part), _weights(part)) for name, part in trained.network.named_children()}
        changed, learned = (
            [name for name in PARTS if not torch.equal(after[name][kind], self.before[name][kind])] for kind in (0, 1)
        )
        assert changed == learned, "what does not learn keeps its statistics"
        self.changed[trainer.global_step - 1] = learned
        if trainer.global_step == self.stop:
            raise RuntimeError("the power is gone")


def _state(part: torch.nn.Module) -> torch.Tensor:
    """Weights and statistics of a part."""
    return torch.cat([v.detach().float().flatten() for v in part.state_dict().values()])


def _weights(part: torch.nn.Module) -> torch.Tensor:
    return torch.cat([v.detach().flatten() for v in part.parameters()])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[AstroYolo]:
    """Leave out the end of a training, graph and calibration."""
    ended: list[AstroYolo] = []

    def finish(_recipe: RecipeConfig, network: AstroYolo, *_: Any, **__: Any) -> Trained:
        ended.append(network)
        return Trained(None, Path(), {})  # type: ignore[arg-type]

    monkeypatch.setattr(module, "finish", finish)
    return ended


def test_phases_and_an_interruption(
    make_recipe: Make, paper_sets: dict[str, Any], tmp_path: Path, quick: list[AstroYolo]
) -> None:
    schedule = {"phases": PHASES}
    recipe = make_recipe(data=paper_sets, batch=2, steps=9, warmup=0, validate_every=4, schedule=schedule)
    watch = _Watch(stop=5)
    with pytest.raises(RuntimeError, match="the power is gone"):
        train(recipe, callbacks=[watch])
    again = _Watch()
    train(recipe, callbacks=[again])
    assert list(again.changed) == [4, 5, 6, 7, 8], "on from the last checkpoint"
    plain = AstroYoloTrainer(Architecture(), steps=9, learning_rate=1e-3, warmup=0)
    for seen in (watch, again):
        for step, changed in seen.changed.items():
            galaxies = step % 3 == 2
            assert seen.galaxies[step] == galaxies
            assert changed == (["morphology"] if galaxies else ["neck", "detection", "stargalaxy"])
            assert seen.rate[step] == pytest.approx(1e-3 * plain._rate(step) * (0.5 if galaxies else 1.0))
    assert len(quick) == 1


def test_without_repetition_the_last_phase_lasts(
    make_recipe: Make, paper_sets: dict[str, Any], quick: list[AstroYolo]
) -> None:
    phases = [PHASES[0], {"data": "galaxies", "heads": ["morphology"]}]
    schedule = {"phases": phases, "repeat": False}
    watch = _Watch()
    train(make_recipe(data=paper_sets, batch=2, steps=5, warmup=0, schedule=schedule), callbacks=[watch])
    assert [watch.changed[step] for step in range(2)] == 2 * [["neck", "detection", "stargalaxy"]]
    assert [watch.changed[step] for step in range(2, 5)] == 3 * [["neck", "morphology"]]


def test_a_whole_training_on_both_sets(make_recipe: Make, paper_sets: dict[str, Any], tmp_path: Path) -> None:
    schedule = {"phases": PHASES}
    trained = train(make_recipe(data=paper_sets, batch=2, steps=3, warmup=0, validate_every=3, schedule=schedule))
    card = load_weights(tmp_path / "runs" / "tiny" / "tiny.safetensors").card
    known = ("2 simulated fields like Astro R-CNN's", "votes and cutouts of the Galaxy Zoo sample votes")
    assert card.data[:2] == known
    assert card.pixel_scale == (0.26, 0.26)
    assert card.metrics == trained.metrics
    with (tmp_path / "runs" / "tiny" / "log" / "metrics.csv").open() as file:
        columns = next(csv.reader(file))
    assert {"val_loss", "val_disk", "val_galaxy"} <= set(columns)


def test_a_part_that_does_not_learn_keeps_its_normalisation() -> None:
    network = AstroYolo(Architecture())
    learn(network, Phase("galaxies", ("morphology",), frozen=True))
    assert [part.training for part in (network.neck, network.detection, network.morphology)] == [False, False, True]
    assert not any(p.requires_grad for p in network.neck.parameters())
    learn(network, Phase("fields"))
    assert all(p.requires_grad for p in network.parameters())


def test_normalisation_is_measured_where_a_part_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NORMALISATION_BATCHES", 4)
    torch.manual_seed(0)
    network = AstroYolo(Architecture())
    stem = network.neck.backbone.stem.conv.bn
    faint, bright = (
        [Batch(level * torch.ones(2, 3, 64, 64) + 0.1 * torch.randn(2, 3, 64, 64), None)] * 4 for level in (0.0, 3.0)
    )
    both = [(Phase("fields", ("detection", "stargalaxy")), faint), (Phase("galaxies", ("morphology",)), bright)]
    refresh_normalisation(network, both)
    assert not network.training
    assert stem.momentum == 0.03
    mixed = stem.running_mean.clone()
    refresh_normalisation(network, both[:1])
    only_faint = stem.running_mean.clone()
    assert (mixed - only_faint).abs().max() > 0.1, "the backbone has seen both"
    frozen = [both[0], (Phase("galaxies", ("morphology",), frozen=True), bright)]
    refresh_normalisation(network, frozen)
    torch.testing.assert_close(stem.running_mean, only_faint)
    last = [(Phase("galaxies", ("morphology",)), bright)]
    network.load_state_dict(AstroYolo(Architecture()).state_dict())
    before = _state(network.detection)
    network.train()
    refresh_normalisation(network, last)
    assert torch.equal(_state(network.detection), before), "what did not learn is as it was"
    assert np.isfinite(stem.running_var.numpy()).all()


def test_heads_are_measured_on_the_backbone_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NORMALISATION_BATCHES", 2)
    torch.manual_seed(0)
    network = AstroYolo(Architecture())
    batches = [Batch(level + torch.randn(2, 3, 64, 64), None) for level in (0.0, 3.0)]
    refresh_normalisation(network, [(Phase("fields"), batches)])
    stem, seen = network.detection.branches[0][0], []
    stem.conv.register_forward_hook(lambda *given: seen.append(given[2].mean(dim=(0, 2, 3))))
    with torch.no_grad():
        for batch in batches:
            network(batch.image)
    torch.testing.assert_close(stem.bn.running_mean, torch.stack(seen).mean(0))
