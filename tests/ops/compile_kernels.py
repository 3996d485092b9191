"""Compiles every kernel for GPUs that are not here: the hosts' code runs on the CPU and its launches are caught.

Run in a process of its own, in which Triton does not interpret.
"""

import re
import sys

import torch
import triton
from regions_to_try import distinct_map, random_rois
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from resdet.ops.nms import triton as nms
from resdet.ops.roi_align import triton as roi_align
from resdet.ops.roi_align.sampling import Rule
from resdet.ops.roi_pool import triton as roi_pool

TYPES = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.int16: "i16",
    torch.int8: "i8",
}
SEVERAL = re.compile(r"\bld\.global\S*\.v[24]\.b32")  # of a thread, with one instruction
READS_CHANNELS = ("roi_align._forward", "roi_align._backward", "roi_pool._maxima", "roi_pool._backward")
GENERATIONS = (75, 80, 90, 100)  # T4, A100, H100, B200
COMPILED = set()


def compile_it(kernel, *arguments, grid, warmup, **options):
    """In place of a launch; arguments are told apart as Triton does it: whole numbers that are 1 are constants, those
    and addresses that 16 divides are known to be such."""
    signature, constants, known = {}, {}, {}
    name = f"{kernel.__module__.split('.')[-2]}.{kernel.__name__}"
    for parameter, value in zip(kernel.params, arguments, strict=True):
        kind = f"*{TYPES[value.dtype]}" if isinstance(value, torch.Tensor) else "fp32"
        if parameter.is_constexpr or (type(value) is int and value == 1):
            kind, constants[(parameter.num,)] = "constexpr", value
        elif type(value) is int:
            kind = "i32"
        if kind != "constexpr" and (isinstance(value, torch.Tensor) or (type(value) is int and value % 16 == 0)):
            known[(parameter.num,)] = [["tt.divisibility", 16]]
        signature[parameter.name] = kind
    for generation in GENERATIONS:
        target = GPUTarget("cuda", generation, 32)
        source = ASTSource(kernel, signature, constants, known)
        assembly = triton.compile(source, target=target, options=options).asm["ptx"]
        assert not re.search(r"\b(atom|red)\.", assembly), f"{name} has atomics"
        assert name not in READS_CHANNELS or SEVERAL.search(assembly), f"{name} reads channels one by one"
    COMPILED.add(name)


def main() -> None:
    JITFunction.run = compile_it
    rois = random_rois(2)
    features = distinct_map(256, torch.bfloat16).to(memory_format=torch.channels_last)
    rule = Rule(14, 16.0, 0, True, 2)
    for maps in (features, features.contiguous()):
        pooled = roi_align.forward(maps, rois, rule)
        roi_align.backward(pooled, rois, maps.shape, rule, True)
        pooled, maxima = roi_pool.forward_and_maxima(maps, rois, 14, 16.0)
        roi_pool.backward(pooled, maps, rois, 16.0, True, maxima)
    nms.batched_nms(torch.rand(200, 4), torch.rand(200), torch.zeros(200, dtype=torch.int64), 0.5, None)
    sys.stdout.write("\n".join(sorted(COMPILED)))


if __name__ == "__main__":
    main()
