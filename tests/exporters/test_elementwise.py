"""Flows with log, logit and integer columns, lowered and exported, are the same function."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import rnvp_deploy
import rnvp_runtime
from rnvp_deploy import RNVP, ColumnMap, RNVPConfig
from rnvp_deploy.config import Mixing
from rnvp_exporters import export
from rnvp_exporters.commands.export import export as command
from rnvp_exporters.errors import ExportError
from rnvp_exporters.graphs.modules import Density, Inverse
from rnvp_exporters.graphs.operators import PLAIN
from rnvp_exporters.lowering import lower
from rnvp_exporters.native.flow_bin import flow_bin
from tests.flows import perturb

MAPS = (
    ColumnMap(),
    ColumnMap("log"),
    ColumnMap("logit", -2.0, 3.0),
    ColumnMap("log", integer=True),
    ColumnMap(integer=True),
)
CONTINUOUS = (*MAPS[:3], ColumnMap("log", -1.0), ColumnMap("logit"))


def mapped(maps: tuple[ColumnMap, ...], mixing: Mixing = "permute") -> RNVP:
    """A float64 flow with these maps, whose weights all differ from their initial values."""
    draw = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        recipe = RNVPConfig(
            len(maps), couplings=3, hidden=(8,), mixing=mixing, actnorm=True, elementwise=maps
        )
        flow = RNVP(recipe).double()
    z = torch.randn(256, len(maps), generator=draw, dtype=torch.float64)
    assert flow.elementwise is not None
    flow.initialise(flow.elementwise.inverse(1.0 + z))
    perturb(flow.parameters(), 0.1, draw)
    return flow.eval().requires_grad_(False)


@pytest.mark.parametrize("maps", [MAPS, CONTINUOUS], ids=["integers", "continuous"])
@pytest.mark.parametrize("mixing", ["swap", "permute", "lu"])
def test_the_graphs_of_a_mapped_flow_are_the_flow(
    maps: tuple[ColumnMap, ...], mixing: Mixing
) -> None:
    """Both directions agree in float64, without tracing. The inverse gives the log_prob of x."""
    flow = mapped(maps, mixing)
    lowered = lower(flow)
    z = torch.randn(200, 5, dtype=torch.float64)
    x = flow.inverse(z)
    log_prob, latent = Density(lowered, PLAIN, torch.float64)(x)
    torch.testing.assert_close(latent, flow(x)[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_prob, flow.log_prob(x), rtol=1e-9, atol=1e-9)
    made, log_prob = Inverse(lowered, PLAIN, torch.float64)(z)
    torch.testing.assert_close(made, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_prob, flow.log_prob(x), rtol=1e-8, atol=1e-8)


def test_a_graph_gives_no_density_outside_the_domain() -> None:
    """log_prob is −inf for a value outside the domain and NaN for NaN, as in the eager flow."""
    x = torch.tensor(
        [[0, -1.0, 0, 1, 1], [0, 1, 3.0, 1, 1], [0, 1, 0, -1, 1], [0, torch.nan, 0, 1, 1]]
    ).double()
    log_prob, _ = Density(lower(mapped(MAPS)), PLAIN, torch.float64)(x)
    assert log_prob[:3].tolist() == [-torch.inf] * 3
    assert log_prob[3].isnan()


def test_the_native_engine_refuses_mapped_columns() -> None:
    """Its format has no record for them, so the bundle has no ``flow.bin``."""
    with pytest.raises(ExportError, match="no log, logit or integer columns"):
        flow_bin(mapped(MAPS))


def test_a_flow_that_c_cannot_hold_is_refused_before_the_export(tmp_path: Path) -> None:
    """The error is one line that names what C does not support, and nothing is written."""
    rnvp_deploy.save(mapped(MAPS).float(), tmp_path / "model.pt")
    result = CliRunner().invoke(command, [str(tmp_path / "model.pt"), "--format", "c"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "integer columns: export without --format c" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> rnvp_runtime.Flow:
    """The runtime's flow of a float32 bundle."""
    path = Path(tmp_path_factory.mktemp("mapped")) / "mapped.rnvp"
    export(mapped(MAPS).float(), path)
    return rnvp_runtime.load(path)


@pytest.mark.slow
def test_samples_of_a_bundle_lie_in_the_domain(bundle: rnvp_runtime.Flow) -> None:
    """Each column is positive, inside its bounds or an integer, and each sample has a density."""
    x = bundle.sample(5000, seed=1)
    assert (x[:, 1] > 0).all()
    assert ((x[:, 2] > -2) & (x[:, 2] < 3)).all()
    assert (x[:, 3:] == np.rint(x[:, 3:])).all()
    assert np.isfinite(bundle.log_prob(x)).all()


@pytest.mark.slow
def test_a_bundle_gives_no_density_outside_the_domain(bundle: rnvp_runtime.Flow) -> None:
    """log_prob is −inf for a value outside the domain and finite for a value inside."""
    rows = np.array([[1, -1, 1, 3, 1], [1, 1, 3, 3, 1], [1, 1, 1, 3, 1]], np.float32)
    log_prob = bundle.log_prob(rows)
    assert (log_prob[:2] == -np.inf).all()
    assert np.isfinite(log_prob[2])


@pytest.mark.slow
def test_a_bundle_says_why_the_native_engine_does_not_run_it(bundle: rnvp_runtime.Flow) -> None:
    """The manifest gives the reason, and so does the error when the native engine is asked for."""
    said = "the native engine has no log, logit or integer columns"
    assert bundle.manifest.native_refusal == said
    assert "flow.bin" not in bundle.manifest.files
    with pytest.raises(rnvp_runtime.BundleError, match=rf"'native', only onnx.*\({said}\)"):
        rnvp_runtime.load(bundle.path, engine="native").log_prob(np.ones((1, 5)))


@pytest.mark.slow
def test_a_bundle_says_which_columns_are_mapped(bundle: rnvp_runtime.Flow) -> None:
    """The description, which ``rnvp-inspect`` and the card show, names the mapped columns."""
    description = bundle.manifest.flow.description
    assert description.endswith("; log of x1, x3; logit of x2; integers x3, x4")
