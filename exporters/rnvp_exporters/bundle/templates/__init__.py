"""Text that is filled in: the model card and the report."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rnvp_runtime.bundle.manifest import TensorSpec

__all__ = ["environment"]


def environment() -> Environment:
    """The templates of this folder; HTML is escaped, a missing name is an error."""
    loader = PackageLoader("rnvp_exporters.bundle", "templates")
    made = Environment(
        loader=loader,
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.filters["tensor"] = _tensor
    return made


def _tensor(spec: TensorSpec) -> str:
    shape = ", ".join(str(size) for size in spec.shape)
    return f"`{spec.name}` {spec.dtype} ({shape})" if spec.shape else f"`{spec.name}` {spec.dtype}"
