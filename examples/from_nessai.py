"""A RealNVP of nessai, trained on two moons: converted, exported, sampled without PyTorch.

    python examples/from_nessai.py [FOLDER]

Needs nessai and scikit-learn besides rnvp-deploy[export].
TRAIN_STEPS=300 in the environment trains for a shorter time.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch
from nessai.flows import RealNVP
from sklearn.datasets import make_moons

import rnvp_deploy
import rnvp_exporters

STEPS = int(os.environ.get("TRAIN_STEPS", 2000))


def moons(rows: int, seed: int) -> torch.Tensor:
    points, _ = make_moons(rows, noise=0.05, random_state=seed)
    return torch.tensor(points, dtype=torch.float32)


def train() -> RealNVP:
    torch.manual_seed(0)
    # Its couplings scale by 1.001 at most; ActNorm and the LU layers do the widening.
    flow = RealNVP(2, 64, 8, 2, actnorm=True, batch_norm_between_layers=False)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = -flow.log_prob(moons(512, step)).mean()
        loss.backward()
        optimizer.step()
    print(f"after {STEPS} steps: {loss.item():.2f} nats a row")
    return flow


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    flow = rnvp_deploy.convert(train().eval(), columns=["x", "y"])
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(folder / "model.pt", folder / "moons.rnvp", force=True)
    # From here on, nothing needs PyTorch, nor nessai.
    bundle, samples = str(folder / "moons.rnvp"), str(folder / "samples.csv")
    subprocess.run(["rnvp-sample", bundle, "-n", "1000", "--seed", "7", "-o", samples], check=True)
    print(Path(samples).read_text()[:100])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
