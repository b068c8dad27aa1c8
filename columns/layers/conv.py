"""A convolution whose kernels are sparse: a sparse linear layer that looks at every patch.

    y[b, :, i, j] = bias + patch(b, i, j) W        W (channels x height x width of a kernel, outputs), sparse

The masks are those of `SparseLinear`, inputs being the cells of a patch in the order channel, row, column: a packed one
is complementary kernels, disjoint within a bank (K. Hunter, L. Spracklen, S. Ahmad 2022, "Two sparsities are better
than one", Neuromorphic Computing and Engineering 2, 034004). Patches are many rows, so the product runs either over all
of them at once, only weights that exist, or as torch's own dense convolution, whichever is faster.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import counters
from .cost import choose
from .linear import SparseLinear
from .masks import BlockMask


class SparseConv2d(nn.Module):
    """in_channels -> out_channels by square kernels of which a share `density` of the weights exists.

    format : "auto", "dense" or "packed", as in SparseLinear; mask : "packed" or "random"; stride, padding : cells
    seed : of mask and weights. `kernel` is the sparse linear layer, which learns connectivity like any other.

    Raises ValueError for formats, masks and densities that don't fit.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, density: float, format: str = "auto", *,
        stride: int = 1, padding: int = 0, mask: str | None = None, bias: bool = True, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        if format not in ("auto", "dense", "packed"):
            raise ValueError(f"no format {format!r} for a convolution; formats are auto, dense, packed")
        cells = in_channels * kernel_size**2
        self.kernel = SparseLinear(cells, out_channels, density, format, mask=mask, bias=bias, seed=seed)
        if isinstance(self.kernel.mask, BlockMask):
            raise ValueError(f"no block mask for kernels of {cells} cells; take mask='packed' or 'random'")
        self.in_channels, self.size, self.stride, self.padding = in_channels, kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, in_channels, h, w) -> (b, out_channels, h', w'). Raises ValueError for another shape."""
        height, width = self._output_size(x)
        if self._method(x, height * width) == "dense":
            return self._dense(x)
        # "packed" looks up which units are active; a patch is rather taken whole.
        rows = self.kernel.lanes(self.rows_of(x))
        return rows.view(len(x), height * width, -1).mT.reshape(len(x), -1, height, width)

    def weight(self) -> Tensor:
        """The kernels as torch keeps them, (out_channels, in_channels, size, size); gradients flow through."""
        return self._shaped(self.kernel.dense())

    def rows_of(self, x: Tensor) -> Tensor:
        """The patches of x, (b h' w', cells)."""
        return F.unfold(x, self.size, padding=self.padding, stride=self.stride).mT.flatten(0, 1)

    def slopes_of(self, slope: Tensor) -> Tensor:
        """The same order for an output, or its gradient: (b, out_channels, h', w') -> (b h' w', out_channels)."""
        return slope.flatten(2).mT.flatten(0, 1)

    def _dense(self, x: Tensor) -> Tensor:
        kernel = self.kernel
        weight = self._shaped(kernel.matrix(kernel.learns()))
        if counters.LISTENERS:
            patches = self.rows_of(x.detach())
            work = len(patches), int((patches != 0).sum()), patches.shape[1], len(patches) * weight.numel(), len(weight)
            counters.note_product("dense", *work, (x.element_size(), 0))
        return F.conv2d(x, weight, kernel.bias, self.stride, self.padding)

    def _shaped(self, matrix: Tensor) -> Tensor:
        return matrix.mT.unflatten(1, (self.in_channels, self.size, self.size))

    def _method(self, x: Tensor, patches: int) -> str:
        kernel = self.kernel
        if kernel.format != "auto":
            return kernel.format
        if not x.is_cpu:
            return "dense"
        learns = kernel.weight.requires_grad and torch.is_grad_enabled()
        shape = len(x) * patches, kernel.in_features, kernel.in_features, kernel.out_features
        return choose(("dense", "lanes"), shape, kernel.weight.shape[-1], learns)

    def _output_size(self, x: Tensor) -> tuple[int, int]:
        reach = self.size - 2 * self.padding
        if x.ndim != 4 or x.shape[1] != self.in_channels or min(x.shape[2:]) < reach:
            raise ValueError(
                f"images of shape {tuple(x.shape)} don't fit kernels ({self.in_channels}, {self.size}, {self.size}) "
                f"with padding {self.padding}; give (b, {self.in_channels}, h, w)"
            )
        height, width = ((side - reach) // self.stride + 1 for side in x.shape[2:])
        return height, width

    def extra_repr(self) -> str:
        """What print shows."""
        return f"{self.in_channels}, kernel_size={self.size}, stride={self.stride}, padding={self.padding}"
