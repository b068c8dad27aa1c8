"""Compiles the Triton kernels for an NVIDIA card that needn't be there: python compile_triton.py 90.

Types and sizes are those of 64 columns of 4,096 units, in bfloat16. Prints the names of those that compile; fails where
one does not or where registers spill.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from triton.backends.compiler import GPUTarget  # pyright: ignore[reportMissingImports]
from triton.compiler import ASTSource  # pyright: ignore[reportMissingImports]

from cortical.columns.layers import triton_source

HALF = "*bf16"
TYPES = {
    "indices": "*i32", "offsets": "*u8", "order": "*i64", "ends": "*i64", "floor": "fp32",
    **dict.fromkeys(
        ("values", "matrix", "weight", "bias", "y", "slope", "d_values", "d_weight", "drive", "x", "d_x"), HALF
    ),
}  # fmt: skip
PRODUCT: dict[str, Any] = {"SHIFTED": True, "SUM": tl.float32}
SLOPE: dict[str, Any] = {"PACKED": True, "SUM": tl.float32}
KERNELS = (
    ("select", {"BLOCK": 4096}, 4),
    ("spread", {"BLOCK": 512}, 4),
    ("gather", {"TILE": 128, "SLOTS": 32, **PRODUCT}, 4),
    ("packed", {"PARTS": 2, "LOW": 8, "HIGH": 2, "WARPS": 8, "AHEAD": 4, **PRODUCT}, 8),
    ("packed", {"PARTS": 1, "LOW": 16, "HIGH": 4, "WARPS": 8, "AHEAD": 4, **PRODUCT}, 8),
    ("slope_of_values", {"TILE": 128, "SLOTS": 16, **SLOPE}, 4),
    ("slope_of_values", {"TILE": 128, "SLOTS": 16, **SLOPE, "PACKED": False, "offsets": None}, 4),
    ("slope_of_weights", {"TILE": 256, **SLOPE}, 4),
    ("slope_of_weights", {"TILE": 256, **SLOPE, "PACKED": False, "offsets": None}, 4),
)


def compiled(name: str, constants: dict[str, Any], warps: int, capability: int) -> bytes:
    """Machine code of a kernel."""
    kernel = getattr(triton_source, name)
    signature = {one: "constexpr" if one in constants else TYPES.get(one, "i32") for one in kernel.arg_names}
    aligned = {(at,): [["tt.divisibility", 16]] for at, kind in enumerate(signature.values()) if kind.startswith("*")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps}).asm["cubin"]


def spilt(code: bytes) -> str:
    """The line of resources where registers spill to memory, else nothing; nothing either where a tool is missing."""
    tool = Path(str(triton.__file__)).parent / "backends/nvidia/bin/cuobjdump"
    if not tool.is_file():
        return ""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return "".join(line for line in said.splitlines() if "STACK:" in line and "STACK:0 " not in line)


def main() -> None:
    for name, constants, warps in KERNELS:
        spill = spilt(compiled(name, constants, warps, int(sys.argv[1])))
        if spill:
            sys.exit(f"{name} {constants}: {spill}")
        print(name)


if __name__ == "__main__":
    main()
