"""Peak memory of ``probes.measure`` on 1,000 and on 10,000 images, for five torchvision networks.

    python benchmarks/memory.py [--few 1000] [--many 10000]

Each measurement, gradients included, has a process of its own, whose greatest resident size the
operating system reports. Images are noise, made batch by batch. Run with OMP_NUM_THREADS=1.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnbook import repro
from cnnbook.probes import measure

SIDES = {"alexnet": 64, "vgg11": 32, "resnet18": 32, "densenet121": 32, "mobilenet_v3_large": 32}
BATCH = 50


def batches(images: int, side: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(images // BATCH):
        yield torch.randn(BATCH, 3, side, side), torch.randint(10, (BATCH,))


def peak(name: str, images: int) -> float:
    """Measure a network in this process; return the greatest resident size so far, in MiB."""
    from torchvision import models

    repro.use_threads(1)
    repro.seed_all(0)
    net = getattr(models, name)(num_classes=10)
    measure(net, batches(images, SIDES[name]), loss=F.cross_entropy)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(peak(options.one, options.many))
        return
    print(f"{'':20}{options.few:>8} {options.many:>8} images, MiB   ratio")
    for name in SIDES:
        command = [sys.executable, __file__, "--one", name, "--many"]
        few, many = (
            float(subprocess.check_output([*command, str(images)], text=True))
            for images in (options.few, options.many)
        )
        print(f"{name:20}{few:8.0f} {many:8.0f} {many / few:19.3f}", flush=True)


if __name__ == "__main__":
    main()
