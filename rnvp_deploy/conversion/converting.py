"""A model of another library is copied, read, assembled into a flow and checked."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from rnvp_deploy import ir
from rnvp_deploy.conversion.checks import refuse_unreadable, weights_dtype
from rnvp_deploy.conversion.finding import find_flow
from rnvp_deploy.conversion.float64 import float64_copy
from rnvp_deploy.conversion.holders import refuse_other_steps
from rnvp_deploy.conversion.proof import prove
from rnvp_deploy.conversion.readers import READERS
from rnvp_deploy.conversion.refusal import LayerError, describe_error, refusal, refusing
from rnvp_deploy.conversion.source import Reader, SourceFlow
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.flow import RNVP
from rnvp_runtime.errors import RnvpError

__all__ = ["convert"]


def convert(
    flow: Any,
    library: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The same distribution as an ``RNVP``, in eval mode and in the dtype of ``flow``.

    The model and the state of torch's random generator are left as they were.

    Args:
        flow: a trained model of nflows, normflows, zuko, FrEIA, glasflow or nessai, or an R_NVP
            as the tutorials write it.
        library: the name of its library, in lower case, or ``tutorial``; by default it is
            recognised by the model's type.
        columns: names of the coordinates.
        context_columns: names of the conditions.

    Raises:
        ConversionError: in one line, which layer has no counterpart, or computes something else
            than its conversion.
        ConfigError: the names do not fit the columns.
    """
    if library is not None and library not in READERS:
        raise ConversionError(f"{library!r} is not a library; expected one of {', '.join(READERS)}")
    found = find_flow(flow, library)
    try:
        converted = _convert_with(found.reader, found.flow, columns, context_columns)
    except LayerError as error:
        raise error.below(found.path) from None
    except RnvpError:
        raise
    except Exception as error:  # the source's code, where no layer could be named
        raise refusal(found.path, f"it could not be converted: {describe_error(error)}") from None
    refuse_other_steps(found, converted)
    return converted.to(weights_dtype(found.flow)).eval()


def _convert_with(
    reader: Reader,
    model: nn.Module,
    columns: Sequence[str] | None,
    context_columns: Sequence[str] | None,
) -> RNVP:
    """The flow, in float64."""
    refuse_unreadable(model)
    with torch.random.fork_rng(devices=[]):
        with refusing("", "it could not be copied"):
            copied = float64_copy(model)
        with refusing("", f"its {type(model).__name__} could not be read"):
            source = reader.read(copied)
        flow = _assemble(source, columns, context_columns)
        prove(source, flow)
    return flow


def _assemble(
    source: SourceFlow, columns: Sequence[str] | None, context_columns: Sequence[str] | None
) -> RNVP:
    for layer in source.layers:
        for transform in layer.transforms:
            if transform.dim != source.dim:
                raise refusal(
                    layer.path,
                    f"it takes rows of {transform.dim} numbers; the flow has {source.dim}",
                )
    transforms = tuple(transform for layer in source.layers for transform in layer.transforms)
    if not transforms:
        raise refusal("", "it has no transform")
    return ir.build(
        ir.Flow(source.dim, source.context_dim, transforms),
        None if columns is None else tuple(columns),
        None if context_columns is None else tuple(context_columns),
    )
