"""A bundle as a model of MLflow: extra ``mlflow``. The model holds the bundle, and no pickle.

rnvp_runtime.mlflow.save_model("model.rnvp", "model.mlflow")
mlflow.pyfunc.load_model("model.mlflow").predict(frame)     # (n,), log_prob in nats
"""

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from rnvp_runtime.errors import OutputError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.flow import load

__all__ = ["flow_model", "save_model"]

_CODE = '''"""The code of the model: MLflow runs it, and unpickles nothing."""

from mlflow.models import set_model

from rnvp_runtime.mlflow import flow_model

set_model(flow_model())
'''


def save_model(
    bundle: str | PathLike[str],
    path: str | PathLike[str],
    *,
    pip_requirements: Sequence[str] | None = None,
) -> None:
    """Write the folder ``path``, a model of MLflow that gives log_prob.

    Its signature has the flow's columns, then the context's, as doubles by name, and one output of
    the flow's dtype. ``mlflow models serve`` and ``mlflow.pyfunc.spark_udf`` take it.

    Args:
        bundle: a folder.
        path: the model. It must not exist.
        pip_requirements: of the model; by default this release of rnvp-deploy, and pandas.

    Raises:
        BundleError: it is not a bundle.
        OutputError: ``path`` exists.
        MissingExtraError: MLflow is not installed.

    Example:
        >>> rnvp_runtime.mlflow.save_model("model.rnvp", "model.mlflow")    # doctest: +SKIP
    """
    pyfunc, schema = import_extra("mlflow.pyfunc"), import_extra("mlflow.types.schema")
    signature = import_extra("mlflow.models").ModelSignature
    flow = load(bundle)
    if os.path.lexists(path):
        raise OutputError(f"{path} is there already: name another")
    if pip_requirements is None:
        pip_requirements = [_own_requirement(), "pandas"]
    inputs = [schema.ColSpec("double", name) for name in flow.columns + flow.context_columns]
    output = schema.TensorSpec(np.dtype(flow.manifest.dtype), (-1,), "log_prob")
    code = Path(path).with_name(f".{Path(path).name}.{os.urandom(4).hex()}.py")
    code.write_text(_CODE, encoding="utf-8")
    try:
        pyfunc.save_model(
            os.fspath(path),
            python_model=str(code),
            artifacts={"bundle": os.path.abspath(bundle)},
            pip_requirements=list(pip_requirements),
            signature=signature(schema.Schema(inputs), schema.Schema([output])),
        )
    finally:
        code.unlink()


def flow_model() -> Any:
    """The model as MLflow loads it: a PythonModel that opens the artifact ``bundle``.

    Raises:
        MissingExtraError: MLflow is not installed.
    """

    class FlowModel(import_extra("mlflow.pyfunc").PythonModel):  # type: ignore[misc]
        """A density."""

        def load_context(self, context: Any) -> None:
            """Open the bundle."""
            self._flow = load(context.artifacts["bundle"])

        # Without types: MLflow takes them for the schema, which the signature states already.
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            """log_prob of the rows of a data frame, (n,), in nats."""
            return np.asarray(self._flow.log_prob(model_input))

    return FlowModel()


def _own_requirement() -> str:
    try:
        return f"rnvp-deploy=={version('rnvp-deploy')}"
    except PackageNotFoundError:  # the packages are on the path, and not installed
        return "rnvp-deploy"
