"""Peak memory of ``probes.measure``, gradients included, on a few and on ten times as many images.

Each measurement has a process of its own, whose greatest resident size the operating system
reports. Images are noise, made batch by batch, for networks of torchvision.
"""

import json
import subprocess
import sys

SEEDS = range(5)
SIDES = {"alexnet": 64, "vgg11": 32, "resnet18": 32, "densenet121": 32, "mobilenet_v3_large": 32}
GRID = {"network": list(SIDES), "images": [200, 2000]}
FREE = ("mebibytes",)
BATCH = 50
ALONE = """
import json, resource, sys
import torch
import torch.nn.functional as F
from cnnbook import probes, repro
from torchvision import models

seed, network, side, images, batch = json.loads(sys.argv[1])
repro.use_threads(1)
repro.seed_all(seed)
batches = (
    (torch.randn(batch, 3, side, side), torch.randint(10, (batch,)))
    for _ in range(images // batch)
)
probes.measure(getattr(models, network)(num_classes=10), batches, loss=F.cross_entropy)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run(seed, network, images):
    """Measure one network."""
    given = json.dumps([seed, network, SIDES[network], images, BATCH])
    command = [sys.executable, "-c", ALONE, given]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return {"mebibytes": float(found.stdout)}
