"""An INN of FrEIA, trained on two moons: converted, exported, sampled without PyTorch.

    python examples/from_freia.py [FOLDER]

Needs FrEIA and scikit-learn besides rnvp-deploy[export].
TRAIN_STEPS=300 in the environment trains for a shorter time.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import FrEIA.framework as Ff
import FrEIA.modules as Fm
import torch
from sklearn.datasets import make_moons
from torch import nn

import rnvp_deploy
import rnvp_exporters

STEPS = int(os.environ.get("TRAIN_STEPS", 2000))


def moons(rows: int, seed: int) -> torch.Tensor:
    points, _ = make_moons(rows, noise=0.05, random_state=seed)
    return torch.tensor(points, dtype=torch.float32)


def subnet(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, outputs))


def train() -> Ff.SequenceINN:
    torch.manual_seed(0)
    inn = Ff.SequenceINN(2)
    for _ in range(8):
        inn.append(Fm.AllInOneBlock, subnet_constructor=subnet)
    optimizer = torch.optim.Adam(inn.parameters(), lr=1e-3)
    for step in range(STEPS):
        optimizer.zero_grad()
        z, log_jac_det = inn(moons(512, step))
        loss = (0.5 * (z**2).sum(1) - log_jac_det).mean() + math.log(2 * math.pi)
        loss.backward()
        optimizer.step()
    print(f"after {STEPS} steps: {loss.item():.2f} nats a row")
    return inn


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    flow = rnvp_deploy.convert(train().eval(), columns=["x", "y"])
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(folder / "model.pt", folder / "moons.rnvp", force=True)
    # From here on, nothing needs PyTorch, nor FrEIA.
    bundle, samples = str(folder / "moons.rnvp"), str(folder / "samples.csv")
    subprocess.run(["rnvp-sample", bundle, "-n", "1000", "--seed", "7", "-o", samples], check=True)
    print(Path(samples).read_text()[:100])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
