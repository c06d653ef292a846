"""What the interpreter cannot show: Triton's compiler accepts the kernels, which needs no GPU."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys, torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from recbole_sigma.ops.interest_cross_entropy import fused, kernels

dtype, K, D, weighted, capability = json.loads(sys.argv[1])
pointer = {"float32": "*fp32", "bfloat16": "*bf16", "float16": "*fp16"}[dtype]
tensor = torch.zeros(9, K, D, dtype=getattr(torch, dtype))
log_weight = torch.zeros(9) if weighted else None
problem = fused.Problem(tensor, tensor[:, 0], torch.zeros(9, dtype=torch.int64), log_weight, 1.0, "max")
options = {name: problem.options.pop(name) for name in ("num_warps", "num_stages")}
of = {"interests": pointer, "items": pointer, "excluded": "*i64", "scale": "fp32"}
shared = {}
for name in ("sum_kernel", "interests_gradient_kernel", "items_gradient_kernel"):
    kernel = getattr(kernels, name)
    constants = dict(problem.options) if weighted else {**problem.options, "log_weight": None}
    sizes = dict.fromkeys(("N", "V", "K", "D", "items_per_split"), "i32")
    results = {"gradient": pointer if name == "items_gradient_kernel" else "*fp32"}
    types = {**of, **sizes, **results, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(kernel, {name: types.get(name, "*fp32") for name in kernel.arg_names}, constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    shared[name] = compiled.metadata.shared
print(json.dumps(shared))
"""
LIMITS = {80: 163 * 1024, 90: 227 * 1024}
"""Most shared memory of a block in bytes, by compute capability."""


@pytest.mark.parametrize(
    "dtype, num_interests, num_dimensions, weighted, capability",
    [
        ("bfloat16", 1, 64, True, 80),
        pytest.param("bfloat16", 4, 128, False, 90, marks=pytest.mark.slow),
        pytest.param("float16", 3, 200, True, 80, marks=pytest.mark.slow),
        pytest.param("float32", 16, 256, False, 80, marks=pytest.mark.slow),
        pytest.param("float32", 2, 10, False, 80, marks=pytest.mark.slow),
    ],
)
def test_kernels_compile_for_gpus_and_fit_their_shared_memory(
    dtype, num_interests, num_dimensions, weighted, capability, tmp_path
):
    pytest.importorskip("triton", reason="Triton exists for Linux only")
    arguments = json.dumps([dtype, num_interests, num_dimensions, weighted, capability])
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, arguments],
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout).values()) <= LIMITS[capability]
