"""The owner of a model of another library, here zuko: from a state dict to a bundle.

    python examples/journeys/foreign_model.py FOLDER

Needs zuko besides rnvp-deploy[export].
"""

import os
import subprocess
import sys
from pathlib import Path

MODULE = '''"""The model, as its owner has it."""

import zuko


def make_flow():
    return zuko.flows.RealNVP(3, transforms=4, hidden_features=(32, 32))
'''


def run(*command: object) -> None:
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], check=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Path("mymodule.py").write_text(MODULE, encoding="utf-8")
    expected = train_and_save()

    run("rnvp-import", "mymodule.py:make_flow", "--weights", "flow.pt", "-o", "model.pt",
        "--columns", "a,b,c")  # fmt: skip
    run("rnvp-export", "model.pt", "--format", "onnx")
    run("rnvp-score", "model.rnvp", "rows.csv", "-o", "scored.csv", "--as", "from_bundle")

    import numpy as np
    import pandas as pd

    found = pd.read_csv("scored.csv")["from_bundle"].to_numpy()
    error = float(np.abs(found - expected).max())
    print(f"\nlog_prob of the bundle and of zuko differ by at most {error:.1e} nats")
    assert error < 1e-3


def train_and_save() -> "object":
    """What the owner did long ago: a state dict in flow.pt. Returns log_prob of rows.csv."""
    sys.path.insert(0, "")
    import numpy as np
    import pandas as pd
    import torch
    from mymodule import make_flow

    torch.manual_seed(0)
    flow = make_flow()
    mixing = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -0.7], [0.0, 0.0, 0.3]])
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    for _ in range(10 * int(os.environ.get("TRAIN_EPOCHS", 50))):
        loss = -flow().log_prob(torch.randn(256, 3) @ mixing).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(flow.state_dict(), "flow.pt")
    rows = (torch.randn(1000, 3) @ mixing).double().numpy().round(4)
    pd.DataFrame(rows, columns=["a", "b", "c"]).to_csv("rows.csv", index=False)
    with torch.no_grad():
        return np.asarray(flow().log_prob(torch.tensor(rows, dtype=torch.float32)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
