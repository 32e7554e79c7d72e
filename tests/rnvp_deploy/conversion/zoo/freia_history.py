"""Layers of other versions of FrEIA, rewritten here from the formulas of those versions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import quietly

with quietly():
    import FrEIA.modules as Fm


class SoftlyClamped(Fm.AllInOneBlock):  # type: ignore[misc]
    """The third form, of August 2023: σ = clamp · tanh(0.1 u / clamp), permutation by index."""

    def __init__(self, dims_in: Any, **options: Any) -> None:
        super().__init__(dims_in, **options)
        order = self.w_perm.argmax(1)
        self.w_perm = nn.Parameter(order, requires_grad=False)
        self.w_perm_inv = nn.Parameter(torch.argsort(order), requires_grad=False)
        self.permute_function = lambda x, order: x[:, order]

    def _affine(self, x: Tensor, a: Tensor, rev: bool = False) -> tuple[Tensor, Tensor]:
        u, t = (0.1 * a).chunk(2, 1)
        sigma = self.clamp * torch.tanh(u / self.clamp)
        if self.GIN:
            sigma = sigma - sigma.mean(1, keepdim=True)
        if rev:
            return (x - t) * torch.exp(-sigma), -sigma.sum(1)
        return x * torch.exp(sigma) + t, sigma.sum(1)


class AllInOneBlock(nn.Module):
    """The first form, of release 0.2: other names, and a method for the log-determinant."""

    def __init__(self, dims_in: Any, subnet_constructor: Any, householder: int = 0) -> None:
        super().__init__()
        (self.channels,) = dims_in[0]
        self.splits = [self.channels - self.channels // 2, self.channels // 2]
        self.clamp, self.GIN, self.welling_perm = 2.0, False, True
        self.global_scale = nn.Parameter(torch.full((1, self.channels), 10.0))
        self.global_offset = nn.Parameter(torch.zeros(1, self.channels))
        self.householder = householder
        matrix = torch.eye(self.channels)[torch.randperm(self.channels)]
        if householder:
            self.vk_householder = nn.Parameter(torch.randn(householder, self.channels))
            self.w_0 = nn.Parameter(matrix, requires_grad=False)
            self.w = self.w_inv = None
        else:
            self.w = nn.Parameter(matrix, requires_grad=False)
            self.w_inv = nn.Parameter(matrix.T.contiguous(), requires_grad=False)
        self.s = subnet_constructor(self.splits[0], 2 * self.splits[1])

    def construct_householder_permutation(self) -> Tensor:
        w = self.w_0
        for v in self.vk_householder:
            w = w @ (torch.eye(self.channels, dtype=v.dtype) - 2 * torch.outer(v, v) / (v @ v))
        return w

    def global_scale_activation(self) -> Tensor:
        return 0.1 * F.softplus(self.global_scale, beta=0.5)

    def permute(self, x: Tensor, rev: bool = False) -> Tensor:
        scale = self.global_scale_activation()
        if rev:
            return (F.linear(x, self.w_inv) - self.global_offset) / scale
        return F.linear(x * scale + self.global_offset, self.w)

    def pre_permute(self, x: Tensor, rev: bool = False) -> Tensor:
        return F.linear(x, self.w if rev else self.w_inv)

    def affine(self, x: Tensor, a: Tensor, rev: bool = False) -> tuple[Tensor, Tensor]:
        u, t = a.chunk(2, 1)
        sigma = self.clamp * torch.tanh(0.1 * u)
        if rev:
            return (x - 0.1 * t) * torch.exp(-sigma), -sigma.sum(1)
        return x * torch.exp(sigma) + 0.1 * t, sigma.sum(1)

    def forward(self, x: Any, rev: bool = False, jac: bool = True) -> list[Tensor]:
        if self.householder:
            self.w = self.construct_householder_permutation()
            self.w_inv = self.w.T.contiguous()
        (x,) = x
        x = self.permute(x, rev=True) if rev else self.pre_permute(x)
        first, second = x.split(self.splits, 1)
        second, log_det = self.affine(second, self.s(first), rev)
        x = torch.cat([first, second], 1)
        x = self.pre_permute(x, rev=True) if rev else self.permute(x)
        sign = -1 if rev else 1
        self.last_jac = log_det + sign * torch.log(self.global_scale_activation() + 1e-12).sum()
        return [x]

    def jacobian(self, x: Any, rev: bool = False) -> Tensor:
        return self.last_jac

    def output_dims(self, dims_in: Any) -> Any:
        return dims_in


class InReleaseStyle(nn.Module):
    """A sequence of modules with a method for their log-determinant, as in release 0.2."""

    def __init__(self, dim: int, *modules: nn.Module) -> None:
        super().__init__()
        self.shapes = [(dim,)] * (len(modules) + 1)
        self.conditions = [None] * len(modules)
        self.module_list = nn.ModuleList(modules)

    def forward(self, x: Tensor, c: Any = None, rev: bool = False) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for module in reversed(self.module_list) if rev else self.module_list:
            (x,) = module([x], rev=rev)
            total = total + module.jacobian([x], rev=rev)
        return x, total


class ActNorm(Fm.InvertibleModule):  # type: ignore[misc]
    """The form since 2023: loc and log_scale, and a buffer that says whether they are set."""

    def __init__(self, dims_in: Any, dims_c: Any = None) -> None:
        super().__init__(dims_in, dims_c)
        (dim,) = dims_in[0]
        self.register_buffer("is_initialized", torch.tensor(False))
        self.log_scale = nn.Parameter(torch.zeros(1, dim))
        self.loc = nn.Parameter(torch.zeros(1, dim))

    def forward(self, x: Any, rev: bool = False, jac: bool = True) -> tuple[Any, Tensor]:
        total = self.log_scale.sum(1)
        if rev:
            return (x[0] * torch.exp(self.log_scale) + self.loc,), total
        return ((x[0] - self.loc) / torch.exp(self.log_scale),), -total

    def output_dims(self, dims_in: Any) -> Any:
        return dims_in
