"""The modules of PyTorch that only wrap another module."""

__all__ = ["WRAPPERS"]

WRAPPERS = {
    "torch.AveragedModel": "module",
    "torch.DataParallel": "module",
    "torch.DistributedDataParallel": "module",
    "torch.OptimizedModule": "_orig_mod",  # what torch.compile returns
}
"""Modules that compute what the module inside them computes, and its attribute."""
