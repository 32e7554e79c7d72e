"""An anomaly engineer: a flow beside IsolationForest, LOF and a Gaussian mixture.

    python examples/journeys/engineer.py                     # the table that scikit-learn brings
    python examples/journeys/engineer.py TABLE.csv LABEL     # your own; LABEL is 1 for anomalies

Every detector is fitted to half of the normal rows, and asked about the other half and all
anomalies. Printed is the area under the ROC curve: 1 separates both, 0.5 is a guess. Needs
rnvp-deploy[export,sklearn] and pandas.
"""

import os
import sys
import warnings

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnvp_runtime.sklearn import FlowDensity

EPOCHS = int(os.environ.get("TRAIN_EPOCHS", 60))


def read(arguments: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The columns of numbers, and 1 for anomalies."""
    if arguments:
        path, label = arguments
        table = pd.read_csv(path).dropna()
        return table.drop(columns=label).select_dtypes("number"), table[label].to_numpy()
    data = load_breast_cancer(as_frame=True)  # 569 biopsies, 30 columns; malignant ones are rare
    return data.data, 1 - data.target.to_numpy()


def roc_auc(table: pd.DataFrame, anomaly: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Detector -> area under the ROC curve."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(anomaly == 0))
    train = rows[: len(rows) // 2]
    test = np.setdiff1d(np.arange(len(table)), train)
    detectors = {
        "flow": FlowDensity(couplings=4, hidden=(32, 32), epochs=EPOCHS, random_state=seed),
        "IsolationForest": IsolationForest(random_state=seed),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
        "GaussianMixture": GaussianMixture(5, reg_covar=1e-3, random_state=seed),
    }
    found = {}
    for name, detector in detectors.items():
        model = make_pipeline(StandardScaler(), detector).fit(table.to_numpy()[train])
        score = model.score_samples(table.to_numpy()[test])
        found[name] = float(roc_auc_score(anomaly[test], -score))
    return found


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    table, anomaly = read(sys.argv[1:])
    print(f"{len(table):,} rows, {table.shape[1]} columns, {anomaly.mean():.1%} anomalies\n")
    for name, area in roc_auc(table, anomaly).items():
        print(f"{name:20} {area:.3f}")
