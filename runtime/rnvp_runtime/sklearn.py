"""Flows as scikit-learn estimators: a density, and an outlier detector.

    from rnvp_runtime.sklearn import FlowOutlierDetector

    detector = FlowOutlierDetector.from_bundle("model.rnvp", contamination=0.001)
    detector.predict(x)                       # -1 where x is less likely than 99.9 % of the
                                              # bundle's reference rows, else 1

    FlowOutlierDetector(contamination=0.01).fit(x)      # trains: needs rnvp-deploy[export]

An estimator from a bundle needs scikit-learn and no PyTorch. ``fit`` without a bundle trains a flow
with PyTorch and keeps it in memory; `FlowDensity.save` writes its checkpoint, which rnvp-export
turns into a bundle. Conditional flows are not supported: the methods of scikit-learn have no
argument for a context.
"""

from dataclasses import dataclass
from importlib import import_module
from numbers import Real
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import BundleError, InputError, RnvpError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.flow import Flow, load
from rnvp_runtime.inputs import is_frame, rows_of

_base: Any = import_extra("sklearn.base")
_validation: Any = import_extra("sklearn.utils.validation")
_BaseEstimator: Any = _base.BaseEstimator
_DensityMixin: Any = _base.DensityMixin
_OutlierMixin: Any = _base.OutlierMixin

__all__ = ["FlowDensity", "FlowOutlierDetector"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _Checkpoint:
    """A trained flow in a pickle: its checkpoint, which runs no code when it is opened."""

    content: bytes

    @classmethod
    def of(cls, flow: Any) -> Self:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            import_module("rnvp_deploy").save(flow, path)
            return cls(path.read_bytes())

    def flow(self) -> Any:
        import_extra("torch")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            path.write_bytes(self.content)
            return import_module("rnvp_deploy").load(path)


class FlowDensity(_DensityMixin, _BaseEstimator):  # type: ignore[misc]
    """The density of a flow, as `sklearn.mixture.GaussianMixture` and `KernelDensity` have it.

    Args:
        bundle: path of a bundle; ``fit`` then only checks the rows. None: ``fit`` trains a flow.
        couplings: of a new flow.
        hidden: widths of the hidden layers of a new flow.
        epochs: of its training; None: it depends on the number of rows.
        held_out: share of the rows that are scored and not trained on.
        random_state: seed of the flow, of the training and of ``sample``; None: 0.
        threads: that train, and that share a large table.

    Attributes:
        n_features_in_: columns.
        flow_: the flow: a `rnvp_runtime.Flow` or, after a training, a `rnvp_deploy.RNVP` in
            float64.

    Example:
        >>> FlowDensity(epochs=50).fit(x).score_samples(x)            # doctest: +SKIP
    """

    def __init__(
        self,
        bundle: str | PathLike[str] | None = None,
        *,
        couplings: int = 8,
        hidden: tuple[int, ...] = (64, 64),
        epochs: int | None = None,
        held_out: float = 0.1,
        random_state: int | None = None,
        threads: int = 1,
    ) -> None:
        self.bundle = bundle
        self.couplings = couplings
        self.hidden = hidden
        self.epochs = epochs
        self.held_out = held_out
        self.random_state = random_state
        self.threads = threads

    @classmethod
    def from_bundle(cls, bundle: str | PathLike[str], **parameters: Any) -> Self:
        """An estimator that needs no ``fit``. It takes the columns of data frames by name.

        Args:
            bundle: path of a bundle of an unconditional flow.
            **parameters: of the estimator.

        Raises:
            BundleError: there is no bundle, or it cannot be read.
            InputError: the flow is conditional.
        """
        estimator = cls(bundle, **parameters)
        flow = estimator._loaded()
        estimator.flow_ = flow
        estimator.n_features_in_ = flow.dim
        estimator._set_reference(flow)
        return estimator

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train a flow on the rows X, (n, d); with a bundle, only check that X fits it.

        Raises:
            InputError: X does not fit, or nothing can be learnt from it.
            MissingExtraError: there is no bundle, and PyTorch is not installed.
        """
        fewest = 2 if self.bundle is None else 1  # a coupling needs two columns
        x = _validation.validate_data(
            self, X, dtype=np.float64, ensure_min_samples=2, ensure_min_features=fewest
        )
        if self.bundle is None:
            self.flow_ = self._trained(x)
        else:
            self.flow_ = self._loaded()
            if self.flow_.dim != x.shape[1]:
                raise InputError(f"X has {x.shape[1]} columns, the flow has {self.flow_.dim}")
        self._set_offset(x)
        return self

    def score_samples(self, X: Any) -> Array:
        """log p of each row of X, in nats: (n,) float64."""
        _validation.check_is_fitted(self, "flow_")
        if isinstance(self.flow_, Flow) and not hasattr(self, "feature_names_in_") and is_frame(X):
            X = rows_of(X, "X", self.flow_.columns, np.float64).block(0, len(X))
        x = _validation.validate_data(self, X, dtype=np.float64, reset=False)
        if isinstance(self.flow_, Flow):
            return np.asarray(self.flow_.log_prob(x), dtype=np.float64)
        torch = import_extra("torch")
        with torch.no_grad():
            # One tile at a time: the activations of all rows together may not fit in memory.
            tiles = [self.flow_.log_prob(rows) for rows in torch.tensor(x).split(4096)]
        return np.asarray(torch.cat(tiles).numpy())

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p over the rows of X, in nats."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> Array:
        """``n_samples`` rows of the flow: (n_samples, d). By default of the seed of the estimator.

        Raises:
            sklearn.exceptions.NotFittedError: it was not fitted.
        """
        _validation.check_is_fitted(self, "flow_")
        seed = self._seed() if random_state is None else random_state
        return np.asarray(self.flow_.sample(n_samples, seed=seed))

    def save(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Write the checkpoint of a trained flow, for rnvp-export.

        Raises:
            InputError: no flow was trained.
            OutputError: ``path`` may not be written.
        """
        flow = getattr(self, "flow_", None)
        if flow is None or isinstance(flow, Flow):
            raise InputError("no flow was trained: call fit without a bundle first")
        import_module("rnvp_deploy").save(flow, path, force=force)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "flow_" in state and not isinstance(state["flow_"], Flow):
            state["flow_"] = _Checkpoint.of(state["flow_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(getattr(self, "flow_", None), _Checkpoint):
            self.flow_ = self.flow_.flow()

    def _loaded(self) -> Flow:
        assert self.bundle is not None
        flow = load(self.bundle, threads=self.threads)
        if flow.context_dim:
            raise InputError(
                f"{self.bundle} is conditional on {', '.join(flow.context_columns)}: scikit-learn "
                "has no place for a context; use rnvp_runtime.load"
            )
        return flow

    def _trained(self, x: Array) -> Any:
        import_extra("torch")
        deploy = import_module("rnvp_deploy")
        torch = import_module("torch")
        seed, threads = self._seed(), torch.get_num_threads()
        torch.set_num_threads(self.threads)  # small networks are no faster on more
        try:
            config = deploy.RNVPConfig(
                dim=x.shape[1], couplings=self.couplings, hidden=tuple(self.hidden), seed=seed
            )
            options = deploy.TrainingOptions(epochs=self.epochs, held_out=self.held_out, seed=seed)
            names = getattr(self, "feature_names_in_", None)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                flow = deploy.RNVP(config, *([] if names is None else [tuple(names)]))
            deploy.fit(flow, np.array(x), options=options)
        except InputError:
            raise
        except RnvpError as error:  # scikit-learn expects a ValueError, which InputError is
            raise InputError(str(error)) from error
        finally:
            torch.set_num_threads(threads)
        return flow.double()

    def _seed(self) -> int:
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31))
        return 0 if self.random_state is None else int(self.random_state)

    def _set_offset(self, x: Array) -> None:
        """Set the attributes that a subclass derives from the rows that it was fitted to."""

    def _set_reference(self, flow: Flow) -> None:
        """Set the attributes that a subclass derives from the reference rows of a bundle."""


class FlowOutlierDetector(_OutlierMixin, FlowDensity):  # type: ignore[misc]
    """Rows that are unlikely under a flow, with the methods of `sklearn.ensemble.IsolationForest`.

    Args:
        bundle: as for `FlowDensity`.
        contamination: share of the rows that are outliers, in (0, 0.5]: of the rows given to
            ``fit`` or, with ``from_bundle``, of the bundle's reference rows.
        **parameters: of `FlowDensity`.

    Attributes:
        offset_: the log_prob below which a row is an outlier, nats.

    Example:
        >>> FlowOutlierDetector.from_bundle("model.rnvp").predict(x)  # doctest: +SKIP
    """

    def __init__(
        self,
        bundle: str | PathLike[str] | None = None,
        *,
        contamination: float = 0.1,
        couplings: int = 8,
        hidden: tuple[int, ...] = (64, 64),
        epochs: int | None = None,
        held_out: float = 0.1,
        random_state: int | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__(
            bundle,
            couplings=couplings,
            hidden=hidden,
            epochs=epochs,
            held_out=held_out,
            random_state=random_state,
            threads=threads,
        )
        self.contamination = contamination

    def decision_function(self, X: Any) -> Array:
        """log p of each row less ``offset_``, in nats: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """-1 for outliers, 1 for the others: (n,) int64."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def fit_predict(self, X: Any, y: Any = None) -> Array:
        """Fit to X and return `predict` of X."""
        return self.fit(X).predict(X)

    def _share(self) -> float:
        if not isinstance(self.contamination, Real) or not 0 < self.contamination <= 0.5:
            raise InputError(f"contamination is {self.contamination!r}, expected within (0, 0.5]")
        return float(self.contamination)

    def _set_offset(self, x: Array) -> None:
        share = self._share()
        self.offset_ = float(np.percentile(self.score_samples(x), 100 * share))

    def _set_reference(self, flow: Flow) -> None:
        share, reference = self._share(), flow.manifest.reference
        if reference is None:
            raise BundleError(f"{self.bundle} has no reference rows: export the flow again")
        self.offset_ = float(np.interp(share, reference.levels, reference.log_prob))
