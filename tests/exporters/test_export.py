"""A bundle is published whole or not at all, and holds what the runtime needs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import rnvp_deploy
import rnvp_exporters
import rnvp_runtime
from rnvp_deploy import RNVP
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    DiagonalAffineSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)
from rnvp_exporters import graphs
from rnvp_exporters.bundle import traced_graph
from rnvp_exporters.errors import ExportError, ParityError
from rnvp_exporters.lowering import lower
from rnvp_runtime import OutputError
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.tensor_proto import read
from rnvp_runtime.bundle.verification import verify
from tests.changed_flows import CHANGES, NOT_OF_THE_MODULES, SMALL
from tests.flows import CONFIGS, lively, some_context, some_data

CONFIG = "given"


def test_a_bundle_has_every_file(exported: Path) -> None:
    """The bundle has graphs, vectors, report, card and manifest, and no temporary file is left."""
    names = {path.name for path in exported.iterdir()}
    graphs = {
        f"{graph}.{ending}"
        for graph in ("density", "inverse", "sampler", "gradient")
        for ending in ("onnx", "ts", "pt2")
    }
    others = {"flow.bin", "tests", "report.html", "README.md", "manifest.json"}
    assert names == graphs | others
    beside = {path.name for path in exported.parent.iterdir()}
    assert beside == {"card.yaml", "model.pt", "model.rnvp"}


def test_the_runtime_verifies_it(exported: Path) -> None:
    """The hashes and test vectors pass the checks of rnvp-verify."""
    assert all(check.passed for check in verify(exported))


def test_the_runtime_agrees_with_the_eager_flow(exported: Path) -> None:
    """log_prob, both directions and samples agree within the published tolerance."""
    flow = lively(CONFIGS[CONFIG])
    loaded = rnvp_runtime.load(exported)
    x, context = some_data(flow), some_context(flow, 64)
    assert context is not None
    z, log_pz, log_jacob = flow(x, context)

    def near(got: Any, want: torch.Tensor, graph: str, output: str) -> None:
        parity = loaded.manifest.parity_of(graph, output)
        assert parity is not None
        deviation = np.abs(got - want.numpy()).reshape(len(want), -1) / np.array(parity.scale)
        assert deviation.max() <= parity.tolerance

    near(loaded.log_prob(x, context), log_pz + log_jacob, "density", "log_prob")
    near(loaded.forward(x, context), z, "density", "z")
    near(loaded.inverse(z, context), x, "inverse", "x")
    drawn = loaded.sample(64, seed=-5, start=10, temperature=0.5, context=context)
    want = flow.sample(64, seed=-5, start=10, temperature=0.5, context=context)
    near(drawn, want, "sampler", "x")


def test_its_torchscript_runs_alone(exported: Path) -> None:
    """torch.jit.load needs no code of rnvp-deploy."""
    flow = lively(CONFIGS[CONFIG])
    x, context = some_data(flow).float(), some_context(flow, 64)
    assert context is not None
    from rnvp_exporters.graphs import without_warnings

    with without_warnings():
        log_prob, _ = torch.jit.load(exported / "density.ts")(x, context.float())
    torch.testing.assert_close(
        log_prob.double(), flow.log_prob(x.double(), context), rtol=1e-4, atol=1e-4
    )


def test_an_onnx_file_has_the_metadata_of_its_bundle(exported: Path) -> None:
    """Bundle id, graph, dims and columns are in the ONNX metadata."""
    session = onnxruntime.InferenceSession(exported / "sampler.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    manifest = Manifest.read(exported)
    assert metadata["rnvp.bundle"] == manifest.id
    assert metadata["rnvp.graph"] == "sampler"
    assert json.loads(metadata["rnvp.columns"]) == list(manifest.columns)
    assert (metadata["rnvp.dim"], metadata["rnvp.context_dim"]) == ("3", "2")


def test_the_vectors_have_the_layout_of_backend_tests(exported: Path) -> None:
    """The files list the inputs in the order of the graph, and the onnx package reads them."""
    model = onnx.load(exported / "density.onnx")
    for folder in sorted((exported / "tests" / "density").iterdir()):
        names = []
        for i in range(len(model.graph.input)):
            tensor = onnx.TensorProto.FromString((folder / f"input_{i}.pb").read_bytes())
            assert np.array_equal(
                onnx.numpy_helper.to_array(tensor), read(folder / f"input_{i}.pb"), equal_nan=True
            )
            names.append(tensor.name)
        assert names == [value.name for value in model.graph.input]
    scalar = onnx.TensorProto.FromString(
        (exported / "tests/sampler/test_data_set_0/input_0.pb").read_bytes()
    )
    assert list(scalar.dims) == []


def test_the_same_flow_makes_the_same_bundle(tmp_path: Path) -> None:
    """The ONNX files and the id of a bundle depend on the flow alone."""
    flow = lively(CONFIGS["two coordinates"])
    first = rnvp_exporters.export(flow, tmp_path / "a.rnvp", formats=("onnx",))
    second = rnvp_exporters.export(flow, tmp_path / "b.rnvp", formats=("onnx",))
    assert first.id == second.id
    for name in ("density.onnx", "inverse.onnx", "sampler.onnx"):
        assert first.files[name] == second.files[name]


def test_a_corrupted_weight_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export stops and writes nothing when the traced weights differ from the trained ones."""
    flow = lively(CONFIGS["two coordinates"])
    original = graphs.trace

    def corrupting(graph: Any, traced: Any, *rest: Any) -> bytes:
        damaged = lively(CONFIGS["two coordinates"])
        with torch.no_grad():
            damaged.transforms[2].joint_net.layers[2].weight[0, 3] += 0.05
        return original(graph, lower(damaged), *rest)

    monkeypatch.setattr(traced_graph, "trace", corrupting)
    with pytest.raises(ParityError, match=r"density \(onnx\): log_prob at batch \d+ is off by"):
        rnvp_exporters.export(flow, tmp_path / "model.rnvp")
    assert not list(tmp_path.iterdir())


def test_an_existing_bundle_is_kept(tmp_path: Path) -> None:
    """Without force nothing is replaced. A folder that is not a bundle is never replaced."""
    flow = lively(CONFIGS["two coordinates"])
    target = tmp_path / "model.rnvp"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="exists: pass force=True"):
        rnvp_exporters.export(flow, target)
    with pytest.raises(ExportError, match="is there already and is not a bundle"):
        rnvp_exporters.export(flow, target, force=True)
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]


def test_force_replaces_a_bundle(exported: Path, tmp_path: Path) -> None:
    """The new bundle replaces the whole old bundle, and no file of the old one remains."""
    target = tmp_path / "model.rnvp"
    shutil.copytree(exported, target)
    before = Manifest.read(target)
    written = rnvp_exporters.export(
        lively(CONFIGS[CONFIG], seed=1), target, formats=("onnx",), force=True
    )
    assert Manifest.read(target) == written != before
    assert not (target / "density.ts").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model.rnvp"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"formats": ("onnx", "caffe")}, "format is .caffe.; expected one of onnx"),
        ({"dtype": "float16"}, "dtype is 'float16'; expected float32 or float64"),
        ({"opset": 17}, "opset is 17; expected 18"),
    ],
)
def test_an_invalid_option_is_refused(
    tmp_path: Path, options: dict[str, Any], complaint: str
) -> None:
    """The error names the option, its value and the values that are expected."""
    with pytest.raises(ExportError, match=complaint):
        rnvp_exporters.export(lively(CONFIGS["two coordinates"]), tmp_path / "m.rnvp", **options)


def test_an_activation_without_a_float64_kernel_is_refused(tmp_path: Path) -> None:
    """onnxruntime has no float64 Erf; the error says so and what to do."""
    config = rnvp_deploy.RNVPConfig(dim=2, couplings=1, hidden=(4,), activation="gelu")
    with pytest.raises(ExportError, match=r"onnxruntime cannot run density .* --dtype float32"):
        rnvp_exporters.export(lively(config), tmp_path / "m.rnvp", dtype="float64")


def test_a_link_is_followed(exported: Path, tmp_path: Path) -> None:
    """The folder that the link points to is replaced, and the link remains a link."""
    shutil.copytree(exported, tmp_path / "real.rnvp")
    (tmp_path / "link.rnvp").symlink_to("real.rnvp", target_is_directory=True)
    flow = lively(CONFIGS[CONFIG], seed=1)
    written = rnvp_exporters.export(flow, tmp_path / "link.rnvp", formats=("onnx",), force=True)
    assert (tmp_path / "link.rnvp").is_symlink()
    assert Manifest.read(tmp_path / "real.rnvp") == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.rnvp", "real.rnvp"]


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    """A missing parent folder is an error, as in every command."""
    with pytest.raises(OutputError, match=r"the folder .* does not exist"):
        rnvp_exporters.export(lively(CONFIGS["two coordinates"]), tmp_path / "no" / "m.rnvp")
    assert not list(tmp_path.iterdir())


def test_a_flow_with_a_broken_weight_is_refused_by_its_name(tmp_path: Path) -> None:
    """Parity cannot compare outputs that are all NaN, so the export checks the weights itself."""
    flow = lively(CONFIGS["two coordinates"])
    with torch.no_grad():
        flow.transforms[2].joint_net.layers[0].bias[1] = torch.nan
    with pytest.raises(
        ExportError, match=r"transforms\.2\.joint_net\.layers\.0\.bias contains NaN"
    ):
        rnvp_exporters.export(flow, tmp_path / "m.rnvp")


@pytest.mark.parametrize(
    ("dim", "context_dim", "transform"),
    [(1, 0, DiagonalAffineSpec(1)), (2, 1, PermutationSpec((1, 0))), (2, 0, LinearSpec(2))],
    ids=["identity", "permutation", "linear"],
)
def test_a_flow_without_couplings_is_exported(
    tmp_path: Path, dim: int, context_dim: int, transform: TransformSpec
) -> None:
    """Such a flow is a baseline. It may have no weights, and may ignore its context."""
    spec = FlowSpec(dim=dim, context_dim=context_dim, transforms=(transform,))
    rnvp_exporters.export(RNVP(spec), tmp_path / "model.rnvp", formats=("onnx",))
    x, context = np.ones((1, dim)), np.ones((1, context_dim)) if context_dim else None
    got = rnvp_runtime.load(tmp_path / "model.rnvp").log_prob(x, context)
    np.testing.assert_allclose(got, -0.5 * dim * (1 + np.log(2 * np.pi)), rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", [name for name in CHANGES if name not in NOT_OF_THE_MODULES])
def test_a_flow_that_is_not_what_its_spec_builds_is_refused(change: str, tmp_path: Path) -> None:
    """The bundle could be of another flow: one line says why, before any work."""
    make, said = CHANGES[change]
    flow = rnvp_deploy.RNVP(SMALL)
    made = make(flow)
    replaced = isinstance(made, rnvp_deploy.RNVP | torch.jit.ScriptModule)
    steps: list[str] = []
    with pytest.raises(ExportError, match=said) as caught:
        rnvp_exporters.export(
            made if replaced else flow, tmp_path / "m.rnvp", progress=steps.append
        )
    assert "\n" not in str(caught.value)
    assert not steps
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", [None, 3, {}, torch.nn.Linear(2, 2)])
def test_a_source_of_another_kind_is_refused(source: Any, tmp_path: Path) -> None:
    """The source is a flow or a path."""
    with pytest.raises(ExportError, match="expected an RNVP"):
        rnvp_exporters.export(source, tmp_path / "m.rnvp")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own modules
def test_a_wrapped_flow_is_unwrapped(tmp_path: Path) -> None:
    """The flow inside torch.compile and DataParallel is exported: its weight stops this export."""
    flow = lively(SMALL)
    flow.transforms[2].joint_net.layers[0].bias.fill_(torch.nan)
    wrapped = torch.nn.DataParallel(torch.compile(flow))  # type: ignore[type-var]
    for source in (wrapped, wrapped.module):
        with pytest.raises(ExportError, match=r"the flow's transforms\.2\S*\.bias contains NaN"):
            rnvp_exporters.export(source, tmp_path / "m.rnvp")  # type: ignore[arg-type]


def test_a_flow_in_training_is_left_in_training(tmp_path: Path) -> None:
    """The export works on a copy of the flow."""
    flow = lively(CONFIGS["two coordinates"]).train()
    rnvp_exporters.export(flow, tmp_path / "m.rnvp", formats=("onnx",))
    assert flow.training
