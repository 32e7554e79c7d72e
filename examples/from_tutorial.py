"""The tutorials' R_NVP, trained on two moons: converted, exported, sampled without PyTorch.

    python examples/from_tutorial.py [FOLDER]

Needs scikit-learn besides rnvp-deploy[export].
TRAIN_STEPS=300 in the environment trains for a shorter time.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import rnvp_deploy
import rnvp_exporters

STEPS = int(os.environ.get("TRAIN_STEPS", 2000))


def moons(rows: int, seed: int) -> torch.Tensor:
    points, _ = make_moons(rows, noise=0.05, random_state=seed)
    return torch.tensor(points, dtype=torch.float32)


base_dist = MultivariateNormal(torch.zeros(2), torch.eye(2))


class R_NVP(nn.Module):
    def __init__(self, d: int, k: int, hidden: int) -> None:
        super().__init__()
        self.k = k
        self.sig_net = nn.Sequential(
            nn.Linear(k, hidden), nn.Tanh(), nn.Linear(hidden, d - k), nn.Tanh()
        )
        self.mu_net = nn.Sequential(nn.Linear(k, hidden), nn.Tanh(), nn.Linear(hidden, d - k))

    def forward(self, x: Tensor, flip: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        a, b = x[:, : self.k], x[:, self.k :]
        if flip:
            a, b = b, a
        sig = self.sig_net(a)
        b = b * sig.exp() + self.mu_net(a)
        z = torch.cat([b, a] if flip else [a, b], dim=-1)
        return z, base_dist.log_prob(z), sig.sum(-1)

    def inverse(self, z: Tensor, flip: bool = False) -> Tensor:
        a, b = z[:, : self.k], z[:, self.k :]
        if flip:
            a, b = b, a
        b = (b - self.mu_net(a)) * (-self.sig_net(a)).exp()
        return torch.cat([b, a] if flip else [a, b], dim=-1)


class stacked_NVP(nn.Module):
    def __init__(self, d: int, k: int, hidden: int, n: int) -> None:
        super().__init__()
        self.bijectors = nn.ModuleList([R_NVP(d, k, hidden) for _ in range(n)])
        self.flips = [i % 2 == 1 for i in range(n)]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_jacob = torch.zeros(len(x))
        for bijector, flip in zip(self.bijectors, self.flips, strict=True):
            x, log_pz, one = bijector(x, flip=flip)
            log_jacob = log_jacob + one
        return x, log_pz, log_jacob


def train() -> stacked_NVP:
    torch.manual_seed(0)
    flow = stacked_NVP(d=2, k=1, hidden=128, n=8)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    for step in range(STEPS):
        optimizer.zero_grad()
        _, log_pz, log_jacob = flow(moons(512, step))
        loss = -(log_pz + log_jacob).mean()
        loss.backward()
        optimizer.step()
    print(f"after {STEPS} steps: {loss.item():.2f} nats a row")
    return flow


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    flow = rnvp_deploy.convert(train().eval(), columns=["x", "y"])
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(folder / "model.pt", folder / "moons.rnvp", force=True)
    # From here on, nothing needs PyTorch.
    bundle, samples = str(folder / "moons.rnvp"), str(folder / "samples.csv")
    subprocess.run(["rnvp-sample", bundle, "-n", "1000", "--seed", "7", "-o", samples], check=True)
    print(Path(samples).read_text()[:100])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
