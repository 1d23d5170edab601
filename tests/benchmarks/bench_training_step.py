"""CPU time of a training step, with freed memory kept (as `astrogalaxy train` does) and handed back (as is usual).

The network's parameters, and its operations for an image of 512 x 512 pixels, are printed first. Each runs in a process of its own, on one thread, on random pixels with as many sources as a crowded crop has.

    python tests/benchmarks/bench_training_step.py
    python tests/benchmarks/bench_training_step.py --size tiny --steps 5
    python tests/benchmarks/bench_training_step.py --zoom 1.5
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

WAYS = ("kept", "handed back")


def measure(way: str, size: str, zoom: float, steps: int, crop: int, batch: int) -> None:
    """Print user and system seconds of a step, and the most memory, GB."""
    import torch

    from astrogalaxy.detection.loss import Targets, multitask_loss
    from astrogalaxy.models import Architecture
    from astrogalaxy.training.allocator import keep_freed_memory
    from astrogalaxy.training.module import AstroYoloTrainer

    if way == "kept" and not keep_freed_memory():
        sys.exit("not the GNU C library: nothing to compare")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = AstroYoloTrainer(Architecture(size, seeing=True, one_cell=True, zoom=zoom), steps=steps)
    optimizer = module.configure_optimizers()["optimizer"]
    n = 80 * batch
    boxes = torch.cat([crop * torch.rand(n, 2), 6 + 6 * torch.rand(n, 2)], 1)
    galaxy = (torch.rand(n) > 0.5).float()
    targets = Targets(torch.arange(n) % batch, boxes, galaxy, galaxy, torch.zeros(n, dtype=torch.bool))
    images = torch.randn(batch, 4, crop, crop)

    def step() -> None:
        maps = tuple(level.float() for level in module(images))
        optimizer.zero_grad()
        multitask_loss(maps, targets, module.network.architecture.strides, one_cell=True)["loss"].backward()
        optimizer.step()

    step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(steps):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = ((getattr(after, n) - getattr(before, n)) / steps for n in ("ru_utime", "ru_stime"))
    print(f"freed memory {way:12s} {user + system:6.2f} s of CPU a step (user {user:.2f}, system {system:.2f}); "
          f"at most {after.ru_maxrss / 2**20:.1f} GiB")  # fmt: skip


def describe(size: str, zoom: float) -> str:
    """Parameters of a network, and multiplications and additions for an image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from astrogalaxy.detection.network import AstroYolo
    from astrogalaxy.models import Architecture

    with torch.device("meta"):
        network = AstroYolo(Architecture(size, seeing=True, zoom=zoom)).eval()
        image = torch.empty(1, network.architecture.channels, 512, 512)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    parameters = sum(p.numel() for p in network.parameters())
    return f"{parameters / 1e6:.2f} M parameters, {counter.get_total_flops() / 1e9:.1f} GFLOP for 512 x 512 pixels"


def main() -> int:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="nano", help="member of the family")
    parser.add_argument("--zoom", type=float, default=1.0, help="factor by which the network magnifies images")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        measure(args.way, args.size, args.zoom, args.steps, args.crop, args.batch)
        return 0
    print(f"{args.size}, zoom {args.zoom:g}: {describe(args.size, args.zoom)}")
    print(f"{args.batch} crops of {args.crop} x {args.crop} pixels, float32, one thread")
    for way in WAYS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--way", way], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
