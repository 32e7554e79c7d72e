"""``rnvp-import`` on the command line: its output, its files and its errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import rnvp_deploy
from rnvp_deploy.commands.import_ import import_

FACTORY = """
import torch
from beside import HIDDEN
from torch import nn

class R_NVP(nn.Module):
    def __init__(self, d, k, hidden):
        super().__init__()
        self.k = k
        self.sig_net = nn.Sequential(nn.Linear(k, hidden), nn.Tanh(), nn.Linear(hidden, d - k))
        self.mu_net = nn.Sequential(nn.Linear(k, hidden), nn.Tanh(), nn.Linear(hidden, d - k))

    def forward(self, x, flip=False):
        a, b = x[:, :self.k], x[:, self.k:]
        sig = self.sig_net(a)
        z = torch.cat([a, b * sig.exp() + self.mu_net(a)], -1)
        return z, torch.distributions.Normal(0, 1).log_prob(z).sum(-1), sig.sum(-1)

    def inverse(self, z, flip=False):
        a, b = z[:, :self.k], z[:, self.k:]
        return torch.cat([a, (b - self.mu_net(a)) * (-self.sig_net(a)).exp()], -1)

def make_flow():
    return R_NVP(3, 1, HIDDEN)

def make_other():
    return R_NVP(4, 1, HIDDEN)

def fail():
    return {}["data"]

def make_linear():
    return nn.Linear(2, 2)

def forget():
    make_flow()

def leave():
    raise SystemExit(2)

def talk():
    print("epoch 1")
    return make_flow()

INSTANCE = make_flow()

def in_a_list():
    flow = make_flow()
    return flow, torch.optim.Adam(flow.parameters())

def compiled():
    return torch.compile(make_flow())

class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.flow = make_flow()

class Scorer(Holder):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return sum(self.flow(x)[1:])

def held():
    return Holder()

def with_head():
    return Scorer()
"""

TRAINER = """
from tests.rnvp_deploy.conversion.zoo.nessai import real_nvp

class FlowModel:
    __module__ = "nessai.flowmodel"

    def __init__(self):
        self.model = real_nvp()()

def make_flow():
    return FlowModel()
"""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mymodule.py").write_text(FACTORY)
    (tmp_path / "beside.py").write_text("HIDDEN = 8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(import_, arguments)


def weights(place: Path) -> dict[str, torch.Tensor]:
    from rnvp_deploy.conversion.factory import _call, _find

    state: dict[str, torch.Tensor] = _call(_find("mymodule.py:make_flow"), "").state_dict()
    torch.save(state, place / "flow.pt")
    return state


def bias_of(checkpoint: str) -> torch.Tensor:
    """The last bias of the shift's network in the first transform."""
    return rnvp_deploy.load(checkpoint).state_dict()["transforms.0.mu_net.layers.2.bias"]


def test_a_factory_and_weights_become_a_checkpoint(place: Path) -> None:
    """rnvp-import writes a checkpoint with the loaded weights and prints a summary."""
    state = weights(place)
    result = run("mymodule.py:make_flow", "--weights", "flow.pt", "-o", "model.pt")
    assert result.exit_code == 0, result.output
    assert "Running mymodule.py:make_flow (your code)." in result.stderr
    assert result.stdout.startswith("model.pt: x0, x1, x2; 1 transforms, ")
    assert torch.equal(bias_of("model.pt"), state["mu_net.2.bias"])


def test_columns_are_named_and_the_summary_can_be_json(place: Path) -> None:
    """--columns names the columns of the checkpoint, and --json prints the summary as JSON."""
    result = run("mymodule.py:make_flow", "-o", "model.pt", "--columns", "a, b,c", "--json")
    assert json.loads(result.stdout) == {
        "output": "model.pt",
        "dim": 3,
        "context_dim": 0,
        "columns": ["a", "b", "c"],
        "context_columns": [],
        "transforms": 1,
        "parameters": 68,
        "dtype": "float32",
    }
    assert rnvp_deploy.load("model.pt").columns == ("a", "b", "c")


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_weights_inside_a_training_checkpoint_are_found(place: Path, key: str) -> None:
    """--weights accepts a training checkpoint that holds the state dict under a usual key."""
    state = weights(place)
    torch.save({"epoch": 7, key: state}, place / "checkpoint.pt")
    result = run("mymodule.py:make_flow", "--weights", "checkpoint.pt", "-o", "model.pt")
    assert result.exit_code == 0, result.output
    assert torch.equal(bias_of("model.pt"), state["mu_net.2.bias"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mymodule"], "'mymodule' is not a factory; write mymodule.py:make_flow"),
        (["mymodule.py"], "'mymodule.py' names no function; write mymodule.py:make_flow (its func"),
        (["nowhere.py:make_flow"], "there is no file nowhere.py"),
        (["no_such_module:make_flow"], "no_such_module could not be imported: ModuleNotFound"),
        (["mymodule.py:nothing"], "no function 'nothing'; its functions are make_flow, make_other"),
        (["mymodule.py:fail"], "mymodule.py:fail failed: KeyError: 'data' (mymodule.py, line 30)"),
        (["mymodule.py:R_NVP"], "R_NVP needs the arguments d, k, hidden; write a function without"),
        (["mymodule.py:leave"], "mymodule.py:leave failed: SystemExit: 2 (mymodule.py, line"),
        (["mymodule.py:forget"], "mymodule.py:forget returned None; it must return the model"),
        (["mymodule.py:make_linear"], "the model: a mymodule.Linear"),
        (["mymodule.py:make_flow", "--weights", "none.pt"], "there are no weights at none.pt"),
        (["mymodule.py:make_flow", "--weights", "beside.py"], "beside.py holds Python objects or"),
        (
            ["mymodule.py:make_flow", "--weights", "code.pt"],
            "code.pt holds a torch.nn.modules.linear.Linear, which could run code when opened",
        ),
        (["mymodule.py:make_flow", "--weights", "list.pt"], "list.pt holds no state dict"),
        (["mymodule.py:make_other", "--weights", "flow.pt"], "the weights in flow.pt do not fit"),
        (["mymodule.py:make_flow", "--columns", "a,b"], "expected 3 different ones"),
        (
            ["flow.pt"],
            "flow.pt holds weights, not the code of a model; write a function that builds the "
            "model, then rnvp-import mymodule.py:make_flow --weights flow.pt",
        ),
        (["flow.pt:make_flow"], "flow.pt holds weights, not the code of a model"),
        (["converted.pt"], "is a checkpoint of rnvp-deploy already; export it: rnvp-export conve"),
        (["bundle.rnvp"], "is a bundle already; draw samples from it: rnvp-sample bundle.rnvp"),
        (["work.ipynb:make_flow"], "work.ipynb is a notebook; put its code into mymodule.py"),
    ],
)
def test_a_mistake_gives_one_line(place: Path, arguments: list[str], complaint: str) -> None:
    """A mistake gives exit code 1 and one line of error, and no checkpoint is written."""
    weights(place)
    torch.save([1, 2], place / "list.pt")
    torch.save(torch.nn.Linear(1, 1), place / "code.pt")
    rnvp_deploy.save(rnvp_deploy.RNVP(rnvp_deploy.RNVPConfig(dim=2)), place / "converted.pt")
    (place / "bundle.rnvp").mkdir()
    (place / "bundle.rnvp" / "manifest.json").write_text("{}")
    (place / "work.ipynb").write_text("{}")
    result = run(*arguments, "-o", "model.pt")
    assert result.exit_code == 1
    assert complaint.replace("mymodule.Linear", "torch.nn.modules.linear.Linear") in result.stderr
    errors = [line for line in result.stderr.splitlines() if not line.startswith("Running ")]
    assert len(errors) == 1
    assert not (place / "model.pt").exists()


def test_files_of_the_user_are_not_replaced(place: Path) -> None:
    """The command never replaces its inputs, and replaces other files only with --force."""
    weights(place)
    (place / "model.pt").write_text("something else")
    before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    for output, message in {
        "flow.pt": "flow.pt is also an input",
        "mymodule.py": "mymodule.py is also an input",
        "beside.py": "has the suffix of a Python module",
        "model.pt": "model.pt exists: pass --force",
    }.items():
        force = [] if output == "model.pt" else ["--force"]
        result = run("mymodule.py:make_flow", "--weights", "flow.pt", "-o", output, *force)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "Running" not in result.stderr
    assert {path: path.read_bytes() for path in place.iterdir() if path.is_file()} == before
    assert run("mymodule.py:make_flow", "-o", "model.pt", "--force").exit_code == 0


def test_the_next_command_is_shown(place: Path) -> None:
    """The command prints the rnvp-export command for the converted flow."""
    result = run("mymodule.py:make_flow", "-o", "my model.pt")
    assert result.stderr.splitlines()[-1] == "Next: rnvp-export 'my model.pt'"


def test_weights_alone_are_not_enough(place: Path) -> None:
    """For a file of weights the message shows the right command."""
    result = run("nf.pt", "-o", "model.pt")
    assert result.exit_code == 1
    assert "rnvp-import mymodule.py:make_flow --weights nf.pt -o model.pt" in result.stderr


@pytest.mark.parametrize("factory", ["make_flow", "INSTANCE", "in_a_list", "compiled", "held"])
def test_weights_reach_a_flow_that_the_factory_wraps(place: Path, factory: str) -> None:
    """FACTORY may be a model, and its keys may have a prefix, which the command reports."""
    state = weights(place)
    torch.save({f"module.{key}": value for key, value in state.items()}, place / "flow.pt")
    result = run(f"mymodule.py:{factory}", "--weights", "flow.pt", "-o", "model.pt")
    assert result.exit_code == 0, result.output
    assert "The keys in flow.pt begin with `module.`, the model's do not" in result.stderr
    loaded = rnvp_deploy.load("model.pt").state_dict()["transforms.0.mu_net.layers.2.bias"]
    assert torch.equal(loaded, state["mu_net.2.bias"])


def test_weights_reach_the_flow_in_a_trainer_of_nessai(place: Path) -> None:
    """--weights accepts the state dict of the flow if the factory returns a nessai FlowModel."""
    (place / "trainer.py").write_text(TRAINER)
    from tests.rnvp_deploy.conversion.zoo.nessai import real_nvp

    trained = real_nvp()().eval()
    torch.save(trained.state_dict(), place / "nessai.pt")
    result = run("trainer.py:make_flow", "--weights", "nessai.pt", "-o", "model.pt")
    assert result.exit_code == 0, result.output
    flow = rnvp_deploy.load("model.pt").double()
    x = torch.linspace(-2, 2, 5 * flow.dim, dtype=torch.float64).reshape(5, flow.dim)
    with torch.no_grad():
        expected = trained.double().log_prob(x)
    torch.testing.assert_close(flow.log_prob(x), expected, check_dtype=False)


def test_what_the_factory_prints_stays_out_of_the_json(place: Path) -> None:
    """What the factory prints goes to stderr, so stdout holds only the JSON summary."""
    result = run("mymodule.py:talk", "-o", "model.pt", "--json")
    assert json.loads(result.stdout)["dim"] == 3
    assert "epoch 1" in result.stderr


def test_parts_that_are_left_out_are_reported(place: Path) -> None:
    """rnvp-import reports on stderr a part of the model that it does not convert."""
    result = run("mymodule.py:with_head", "-o", "model.pt")
    assert result.exit_code == 0, result.output
    assert "was converted without 'head' (Linear) of the Scorer" in result.stderr


def test_two_columns_with_the_same_name_are_refused(place: Path) -> None:
    """The command refuses the option before it runs any code."""
    result = run("mymodule.py:make_flow", "--columns", "a,a,b", "-o", "model.pt")
    assert result.exit_code == 2
    assert "'a,a,b' is not a list of different names" in result.stderr
    assert "Running" not in result.stderr
    assert not (place / "model.pt").exists()


def test_help_has_an_example_and_does_not_wait_for_pytorch() -> None:
    """--help shows an example command and does not import PyTorch."""
    program = "import sys; from rnvp_deploy.commands.import_ import import_\n"
    program += "try: import_(['--help'])\nfinally: assert 'torch' not in sys.modules"
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "rnvp-import mymodule.py:make_flow --weights flow.pt -o model.pt" in result.stdout
