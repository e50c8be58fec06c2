"""Ways to run a detector's network on a CPU: what each costs, and how far its answer moves.

Run: python benchmarks/compute.py [--threads N] [--repeats N] [--window N] [--only NETWORK]
    [--without WAY]

One window goes through each network in turns, one way after the other in every round, so that
neighbours on the machine disturb all alike; ratios are of CPU seconds, each way against contiguous
float32 of the same round, median and quartiles over the rounds. Outputs are compared as
probabilities. ONNX Runtime, OpenVINO and torch.compile are left out with a reason where what they
need is not installed.
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import shutil
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from torch import nn

from scalemai.detector.network import build_network
from scalemai.detector.spec import DetectorSpec, NetworkSpec, Preprocessing

Way = Callable[[], torch.Tensor]

NETWORKS = {
    "basic-unet of cpu-small": NetworkSpec("basic-unet", {"features": [8, 8, 16, 32, 64, 8]}),
    "segresnet of 16 filters": NetworkSpec("segresnet", {"init_filters": 16}),
}
PLAIN = "float32"


class LeftOut(Exception):  # noqa: N818 - no error, but a reason
    """Why a way cannot be tried here."""


def plain(network: nn.Module, seen: torch.Tensor) -> Way:
    return lambda: network(seen)


def channels_last(network: nn.Module, seen: torch.Tensor) -> Way:
    turned = copy.deepcopy(network).to(memory_format=torch.channels_last_3d)
    moved = seen.to(memory_format=torch.channels_last_3d)
    return lambda: turned(moved)


def half(network: nn.Module, seen: torch.Tensor) -> Way:
    inner = channels_last(network, seen)

    def call() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return inner()

    return call


def compiled(network: nn.Module, seen: torch.Tensor) -> Way:
    if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
        raise LeftOut("no C++ compiler")
    turned = copy.deepcopy(network).to(memory_format=torch.channels_last_3d)
    moved = seen.to(memory_format=torch.channels_last_3d)
    quick = torch.compile(turned)
    return lambda: quick(moved)


def onnx_runtime(network: nn.Module, seen: torch.Tensor) -> Way:
    for name in ("onnx", "onnxruntime"):
        if find_spec(name) is None:
            raise LeftOut(f"{name} is not installed")
    import onnxruntime

    packed = io.BytesIO()
    torch.onnx.export(network, (seen,), packed, dynamo=False, opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(packed.getvalue(), options)
    given = {session.get_inputs()[0].name: seen.numpy()}
    return lambda: torch.from_numpy(session.run(None, given)[0])


def openvino(network: nn.Module, seen: torch.Tensor, precision: str = "f32") -> Way:
    if find_spec("openvino") is None:
        raise LeftOut("openvino is not installed")
    import openvino as ov

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": precision,  # it takes bfloat16 where the processor has it
    }
    model = ov.compile_model(ov.convert_model(network, example_input=seen), "CPU", settings)
    return lambda: torch.from_numpy(model(seen.numpy())[0])


WAYS: dict[str, Callable[[nn.Module, torch.Tensor], Way]] = {
    PLAIN: plain,
    "channels last": channels_last,
    "bfloat16, channels last": half,
    "torch.compile, channels last": compiled,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "OpenVINO, bfloat16": partial(openvino, precision="bf16"),
}


def spent(way: Way) -> tuple[float, float]:
    """CPU seconds and seconds of the clock of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    way()
    return time.process_time() - cpu, time.perf_counter() - wall


def compare(network: nn.Module, seen: torch.Tensor, repeats: int, without: list[str]) -> None:
    """Print a row for each way."""
    expected = torch.softmax(network(seen), 1)
    ways: dict[str, Way] = {}
    begun: dict[str, float] = {}
    away: dict[str, float] = {}
    for name, make in WAYS.items():
        if name in without:
            continue
        start = time.process_time()
        try:
            way = make(network, seen)
            probabilities = torch.softmax(way().float(), 1)
        except LeftOut as reason:
            print(f"| {name} | left out: {reason} |")
            continue
        begun[name] = time.process_time() - start
        away[name] = float((probabilities - expected).abs().max())
        ways[name] = way
    rounds = [{name: spent(way) for name, way in ways.items()} for _ in range(repeats)]
    print("| | CPU, s | ratio (quartiles) | making it ready, CPU s | probabilities within |")
    print("|---|---:|---:|---:|---:|")
    for name in ways:
        ratios = [one[PLAIN][0] / one[name][0] for one in rounds]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        cpu = np.median([one[name][0] for one in rounds])
        print(
            f"| {name} | {cpu:.2f} | {middle:.2f} ({low:.2f}-{high:.2f}) "
            f"| {begun[name]:.1f} | {away[name]:.0e} |"
        )


def main() -> None:
    """Run all networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--window", type=int, default=96)
    parser.add_argument("--without", action="append", default=[], choices=list(WAYS))
    parser.add_argument("--only", help="Start of a network's name.", default="")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # of exporters
    torch.set_num_threads(chosen.threads)
    window = (chosen.window,) * 3
    print(f"torch {torch.__version__}, {chosen.threads} thread(s), n = {chosen.repeats} rounds")
    for name, network in NETWORKS.items():
        if not name.startswith(chosen.only):
            continue
        spec = DetectorSpec("liver", ("liver_lesion",), Preprocessing(), network, window)
        seen = torch.randn(1, spec.preprocessing.channels, *window, generator=torch.manual_seed(0))
        print(f"\n{name}, one window of {' x '.join(map(str, window))}\n")
        with torch.inference_mode():
            compare(build_network(spec).eval(), seen, chosen.repeats, chosen.without)


if __name__ == "__main__":
    main()
