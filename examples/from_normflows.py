"""A RealNVP of normflows, trained on two moons: converted, exported, sampled without PyTorch.

    python examples/from_normflows.py [FOLDER]

Needs normflows and scikit-learn besides rnvp-deploy[export].
TRAIN_STEPS=300 in the environment trains for a shorter time.
"""

import os
import subprocess
import sys
from pathlib import Path

import normflows as nf
import torch
from sklearn.datasets import make_moons

import rnvp_deploy
import rnvp_exporters

STEPS = int(os.environ.get("TRAIN_STEPS", 2000))


def moons(rows: int, seed: int) -> torch.Tensor:
    points, _ = make_moons(rows, noise=0.05, random_state=seed)
    return torch.tensor(points, dtype=torch.float32)


def make_flow() -> nf.NormalizingFlow:
    flows = []
    for _ in range(16):
        net = nf.nets.MLP([1, 64, 64, 2], init_zeros=True)
        flows += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(2, mode="swap")]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), flows)


def train() -> nf.NormalizingFlow:
    torch.manual_seed(0)
    flow = make_flow()
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-4, weight_decay=1e-5)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = flow.forward_kld(moons(512, step))
        if torch.isfinite(loss):  # an unbounded exp diverges now and then
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
            optimizer.step()
    print(f"after {STEPS} steps: {loss.item():.2f} nats a row")
    return flow


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    flow = rnvp_deploy.convert(train().eval(), columns=["x", "y"])
    rnvp_deploy.save(flow, folder / "model.pt")
    rnvp_exporters.export(folder / "model.pt", folder / "moons.rnvp", force=True)
    # From here on, nothing needs PyTorch, nor normflows.
    bundle, samples = str(folder / "moons.rnvp"), str(folder / "samples.csv")
    subprocess.run(["rnvp-sample", bundle, "-n", "1000", "--seed", "7", "-o", samples], check=True)
    print(Path(samples).read_text()[:100])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
