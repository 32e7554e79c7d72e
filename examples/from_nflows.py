"""A RealNVP of nflows, trained on two moons: converted, exported, sampled without PyTorch.

    python examples/from_nflows.py [FOLDER]

Needs nflows and scikit-learn besides rnvp-deploy[export].
TRAIN_STEPS=300 in the environment trains for a shorter time.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import AffineCouplingTransform, CompositeTransform, LULinear
from nflows.transforms.normalization import ActNorm
from sklearn.datasets import make_moons

import rnvp_deploy
import rnvp_exporters

STEPS = int(os.environ.get("TRAIN_STEPS", 2000))


def moons(rows: int, seed: int) -> torch.Tensor:
    points, _ = make_moons(rows, noise=0.05, random_state=seed)
    return torch.tensor(points, dtype=torch.float32)


def make_flow() -> Flow:
    layers = []
    for i in range(8):
        mask = torch.tensor([1, -1]).roll(i)
        net = lambda inputs, outputs: ResidualNet(inputs, outputs, hidden_features=64)  # noqa: E731
        layers += [ActNorm(2), LULinear(2), AffineCouplingTransform(mask, net)]
    return Flow(CompositeTransform(layers), StandardNormal([2]))


def train() -> Flow:
    torch.manual_seed(0)
    flow = make_flow()
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = -flow.log_prob(inputs=moons(512, step)).mean()
        loss.backward()
        optimizer.step()
    print(f"after {STEPS} steps: {loss.item():.2f} nats a row")
    return flow


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    flow = rnvp_deploy.convert(train().eval(), columns=["x", "y"])
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(folder / "model.pt", folder / "moons.rnvp", force=True)
    # From here on, nothing needs PyTorch, nor nflows.
    bundle, samples = str(folder / "moons.rnvp"), str(folder / "samples.csv")
    subprocess.run(["rnvp-sample", bundle, "-n", "1000", "--seed", "7", "-o", samples], check=True)
    print(Path(samples).read_text()[:100])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
