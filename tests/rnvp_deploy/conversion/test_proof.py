"""The proof catches a conversion that is wrong, and says where."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import rnvp_deploy
from rnvp_deploy import ir
from rnvp_deploy.conversion import source
from rnvp_deploy.conversion.couplings import pick_outputs
from rnvp_deploy.conversion.readers import nflows, normflows, zuko
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.maps import Affine
from rnvp_deploy.scales import Exp, LogSigmoid, SoftClip
from rnvp_deploy.transforms import CouplingSpec
from tests.rnvp_deploy.conversion.zoo import nflows as their_nflows
from tests.rnvp_deploy.conversion.zoo import normflows as their_normflows
from tests.rnvp_deploy.conversion.zoo import tutorial as their_tutorial
from tests.rnvp_deploy.conversion.zoo import zuko as their_zuko

pytestmark = pytest.mark.filterwarnings("ignore")


def corrupted(
    function: Callable[..., ir.Coupling], change: Callable[[ir.Coupling], ir.Coupling]
) -> Callable[..., ir.Coupling]:
    return lambda *args, **kwargs: change(function(*args, **kwargs))


def nudge(coupling: ir.Coupling) -> ir.Coupling:
    """Change one weight of one network by a millionth."""
    first, *others = coupling.trunk
    assert isinstance(first, ir.Dense)
    weight = first.weight.copy()
    weight[0, 0] += 1e-6
    return replace(coupling, trunk=(ir.Dense(weight, first.bias), *others))


def test_one_wrong_weight_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of 1e-6 in one weight of a coupling is refused, and the layer is named."""
    monkeypatch.setattr(nflows, "coupling", corrupted(nflows.coupling, nudge))
    with pytest.raises(ConversionError, match=r"^_transform\._transforms\.0: the z of its conv"):
        rnvp_deploy.convert(their_nflows.SUPPORTED["SimpleRealNVP"]())


def test_the_first_wrong_transform_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the third transform is wrong, the refusal gives the path of the third."""
    seen: list[ir.Coupling] = []

    def third(coupling: ir.Coupling) -> ir.Coupling:
        seen.append(coupling)
        return nudge(coupling) if len(seen) == 3 else coupling

    monkeypatch.setattr(nflows, "coupling", corrupted(nflows.coupling, third))
    with pytest.raises(ConversionError, match=r"^_transform\._transforms\.2: "):
        rnvp_deploy.convert(their_nflows.SUPPORTED["SimpleRealNVP"]())


def test_outputs_in_the_wrong_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coupling whose network outputs are in the wrong order is refused by its path."""

    def without_order(path: str, network: ir.Network, rows: list[int], width: int) -> ir.Network:
        return network if len(rows) == width else pick_outputs(path, network, rows, width)

    monkeypatch.setattr(normflows, "pick_outputs", without_order)
    with pytest.raises(ConversionError, match=r"^flows\.1: "):
        rnvp_deploy.convert(their_normflows.SUPPORTED["AffineCouplingBlock, scale_map exp"]())


def test_a_scale_of_the_wrong_sign_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coupling whose log scale has the wrong sign is refused by its path."""
    monkeypatch.setitem(normflows._SCALES, "sigmoid", LogSigmoid(1.0))
    with pytest.raises(ConversionError, match=r"^flows\.1: "):
        rnvp_deploy.convert(their_normflows.SUPPORTED["AffineCouplingBlock, scale_map sigmoid"]())


def test_a_scale_that_differs_in_the_tails_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slope of 1e-3 in place of 1e-4 differs much in the tails, and little near zero."""
    monkeypatch.setattr(zuko, "recognise_scale", lambda function, path: SoftClip(1e-3))
    model = their_zuko.SUPPORTED["slope 1e-4, the default of 1.0.1 to 1.4.1"]()
    with pytest.raises(ConversionError, match=r"^transform\.transforms\.1: "):
        rnvp_deploy.convert(model)


class Clamped(their_nflows.transforms.AffineCouplingTransform):  # type: ignore[misc, name-defined]
    """An affine coupling with the scale exp(clamp(u))."""

    bound = 30.0

    def _scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        k = self.num_transform_features
        return torch.exp(parameters[:, k:].clamp(-self.bound, self.bound)), parameters[:, :k]


def clamped(bound: float, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    """A flow in two columns, whose u is the first one."""
    layer = Clamped([-1, 1], lambda inputs, outputs: torch.nn.Linear(inputs, outputs))
    layer.transform_net = their_nflows.Wrapped(layer.transform_net)
    layer.transform_net.net.weight.data = torch.tensor([[0.0], [1.0]])
    layer.transform_net.net.bias.data.zero_()
    layer.bound = bound
    return their_nflows.flow(layer, dim=2).to(dtype).eval()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("bound", "dtype"),
    [
        *((bound, torch.float32) for bound in (10.0, 30.0, 50.0, 80.0)),
        *((bound, torch.float64) for bound in (30.0, 80.0, 300.0)),
    ],
)
def test_a_clamp_far_from_the_data_is_kept(bound: float, dtype: torch.dtype) -> None:
    """The converted flow has the log_prob of its source on both sides of the source's clamp."""
    model = clamped(bound, dtype)
    u = torch.tensor([-2.0, -1.1, -0.5, 0.5, 1.1, 2.0], dtype=dtype) * bound
    x = torch.stack([u, torch.zeros_like(u)], 1)
    with torch.no_grad():
        assert torch.allclose(rnvp_deploy.convert(model).log_prob(x), model.log_prob(x))


@pytest.mark.parametrize("bound", [20.0, 40.0, 100.0, 600.0])
def test_a_scale_that_differs_far_from_the_data_alone_is_caught(
    bound: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof's rows reach a clamp that none of the model's own samples reaches."""
    monkeypatch.setattr(nflows, "recognise_scale", lambda function, path: Exp())
    with pytest.raises(ConversionError, match=r"^_transform\._transforms\.0: the (z|log_det) of"):
        rnvp_deploy.convert(clamped(bound))


def test_a_layer_that_refuses_rows_far_from_its_data_is_converted() -> None:
    """A layer that checks its own result is not refused for the proof's rows far away."""

    class Checked(their_nflows.transforms.AffineCouplingTransform):  # type: ignore[misc, name-defined]
        def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            if x.abs().max() > 1e4:
                raise ValueError("out of range")
            return super().forward(x, context)  # type: ignore[no-any-return]

    rnvp_deploy.convert(their_nflows.lively(their_nflows.flow(their_nflows.coupling(Checked))))


def test_a_forgotten_base_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transform agrees, but the log_prob of the whole model does not."""
    layer = source.base_layer("base", torch.zeros(5), torch.zeros(5))
    monkeypatch.setattr(nflows, "base_layer", lambda *_: layer)
    with pytest.raises(ConversionError, match=r"log_prob.*each transform agrees"):
        rnvp_deploy.convert(their_nflows.SUPPORTED["DiagonalNormal"]())


def test_a_model_with_another_log_prob_is_caught() -> None:
    """A model whose log_prob differs from that of its transforms and base is refused."""

    class Tempered(their_nflows.SimpleRealNVP):  # type: ignore[misc, name-defined]
        def _log_prob(self, inputs: Tensor, context: Tensor | None) -> Tensor:
            return 0.5 * super()._log_prob(inputs, context)

    with pytest.raises(ConversionError, match="the log_prob of its conversion differs"):
        rnvp_deploy.convert(their_nflows.lively(Tempered(5, 16, 2, 1)))


def test_a_rounded_constant_passes_the_proof() -> None:
    """nflows keeps ½ d log 2π in float64, and float() rounds it."""
    model = their_nflows.SUPPORTED["SimpleRealNVP"]().double().float()
    assert model._distribution._log_z.dtype == torch.float32
    rnvp_deploy.convert(model)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_weight_that_is_not_finite_is_named(value: float) -> None:
    """A NaN or infinite weight is refused, and the error names the parameter."""
    model = their_nflows.SUPPORTED["SimpleRealNVP"]()
    name, parameter = list(model.named_parameters())[5]
    parameter.data.view(-1)[2] = value
    with pytest.raises(ConversionError, match=f"^{re.escape(name)}: 1 of its .* are NaN or inf"):
        rnvp_deploy.convert(model)


def test_a_statistic_that_is_nan_is_named() -> None:
    """A NaN in the running mean of a BatchNorm is refused, and the error names the buffer."""
    model = their_nflows.SUPPORTED["BatchNorm"]()
    model._transform._transforms[1].running_mean[0] = torch.nan
    with pytest.raises(ConversionError, match=r"^_transform\._transforms\.1\.running_mean: 1 of"):
        rnvp_deploy.convert(model)


def test_the_first_layer_that_overflows_is_named() -> None:
    """The direction is from latent to data, as in sampling, so layer 3 comes before layer 1."""
    model = their_tutorial.SUPPORTED["stacked_NVP"]()
    for i in (1, 3):
        model.bijectors[i].sig_net[-1].bias.data -= 800.0
    with pytest.raises(ConversionError, match=r"^bijectors\.3: its outputs are NaN, infinite"):
        rnvp_deploy.convert(model)


def test_a_steep_flow_passes_the_proof() -> None:
    """The flow has values beyond 1e6, and its layers amplify rounding errors."""
    torch.manual_seed(0)
    model = their_nflows.lively(
        their_nflows.SimpleRealNVP(5, 32, 4, 2, batch_norm_between_layers=True), amount=0.2
    )
    flow = rnvp_deploy.convert(model.double())
    assert flow.inverse(4 * torch.randn(500, 5, dtype=torch.float64)).abs().max() > 1e6


def test_a_conversion_is_exact_where_exp_is_the_scale() -> None:
    """Every coupling of a MaskedAffineFlow becomes an affine coupling with the scale Exp."""
    flow = rnvp_deploy.convert(their_normflows.SUPPORTED["MaskedAffineFlow"]())
    maps = [spec.map for spec in flow.spec.transforms if isinstance(spec, CouplingSpec)]
    assert set(maps) == {Affine(Exp())}
