"""Training: maximum likelihood with held-out rows; the best weights are kept.

    flow = rnvp_deploy.RNVP(rnvp_deploy.RNVPConfig(dim=2))
    result = rnvp_deploy.fit(flow, x)
    rnvp_deploy.save(flow, "model.pt", training=result.record)

The optimizer is Adam with a cosine schedule, gradient clipping and weight averaging. The held-out
rows are scored after each epoch; at the end the flow holds the weights with the best score. All
randomness comes from one seeded generator, so the same rows, options and initial weights give the
same bits. ``result.record`` is the state of the training as plain values: a checkpoint stores it,
and ``fit(..., resume=record)`` continues from it exactly.
"""

from rnvp_deploy.training.data_warnings import DataWarning, suggested_options
from rnvp_deploy.training.fitting import fit
from rnvp_deploy.training.options import TrainingOptions
from rnvp_deploy.training.result import Training
from rnvp_deploy.training.state import Epoch, recorded_options
from rnvp_deploy.training.summary import ColumnSummary, TrainingSummary, read_summary

__all__ = [
    "ColumnSummary",
    "DataWarning",
    "Epoch",
    "Training",
    "TrainingOptions",
    "TrainingSummary",
    "fit",
    "read_summary",
    "recorded_options",
    "suggested_options",
]
