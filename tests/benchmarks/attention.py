"""Window attention: ways to compute the same thing, alone and within the whole encoder, forward and with backward.

Run ``python tests/benchmarks/attention.py --windows 64 256 --encoder tiny``; on a GPU
``python tests/benchmarks/attention.py --device cuda --dtype bfloat16 --windows 1024 8192 --encoder base --batch 512``.

Each way takes queries, keys and values (W, heads, t, d) as the model makes them, W = B n windows of t = 64 tokens, the bias
(heads, t, t) that is learned and the mask (n, t, t) of shifted windows. All are compared with float64 before they are timed.

* ``model``      what `discovery.encoders.lvm` does now;
* ``repeat``     scaled_dot_product_attention, bias + mask repeated for each stamp;
* ``grouped``    scaled_dot_product_attention on (B, n heads, t, d), so that bias + mask broadcast over stamps;
* ``explicit``   two matrix products and a softmax, bias + mask broadcast;
* ``padded``     as ``repeat``, the heads filled up with zeros to 16, 32, 64 or 128 numbers;
* ``fused``      as ``repeat`` on 2 or 4 windows at once, what lies between windows blocked.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from discovery.encoders.lvm import LVM, LVMConfig, WindowAttention, _shift_mask
from training.pretraining.recipes import TINY

Core = Callable[[Tensor, Tensor, Tensor, Tensor, "Tensor | None", float], Tensor]
HEADS, SIDE, WINDOW = 8, 16, 8
MODEL_FORWARD = WindowAttention.forward


def repeat(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Scaled dot-product attention with the mask of every window written out."""
    return F.scaled_dot_product_attention(q, k, v, _repeated(q, bias, mask), scale=scale)


def grouped(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Windows of a stamp beside its heads: the mask broadcasts over stamps."""
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v, bias[None].to(q.dtype), scale=scale)
    n, (heads, tokens, width) = mask.shape[0], q.shape[1:]
    one, two, three = (x.reshape(-1, n * heads, tokens, width) for x in (q, k, v))
    both = (bias + mask[:, None]).flatten(0, 1)[None].to(q.dtype)  # (1, n heads, t, t)
    return F.scaled_dot_product_attention(one, two, three, both, scale=scale).reshape(q.shape)


def explicit(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Products and softmax one after the other."""
    scores = (q * scale) @ k.transpose(-1, -2)  # (W, heads, t, t)
    if mask is None:
        scores = scores + bias.to(q.dtype)
    else:
        both = (bias + mask[:, None]).to(q.dtype)
        scores = (scores.unflatten(0, (-1, mask.shape[0])) + both).flatten(0, 1)
    return scores.softmax(-1) @ v


def padded(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Heads filled up with zeros to a power of two, which changes no product."""
    width = q.shape[-1]
    fill = 2 ** max(4, math.ceil(math.log2(width))) - width
    one, two, three = (F.pad(x, (0, fill)) for x in (q, k, v))
    return repeat(one, two, three, bias, mask, scale)[..., :width]


def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Several windows as one sequence, blocked apart."""
    windows, heads, tokens, _ = q.shape
    n = 1 if mask is None else mask.shape[0]
    together = next(g for g in (4, 2, 1) if windows % g == 0 and (n == 1 or n % g == 0))
    own = bias[None] if mask is None else bias + mask[:, None]  # (n, heads, t, t)
    own = own.expand(together, -1, -1, -1)[None] if n == 1 else own.unflatten(0, (-1, together))
    blocked = own.new_full((own.shape[0], heads, together, tokens, together, tokens), -math.inf)
    for i in range(together):
        blocked[:, :, i, :, i] = own[:, i]
    whole = blocked.flatten(4, 5).flatten(2, 3).repeat(windows // together // own.shape[0], 1, 1, 1).to(q.dtype)
    one, two, three = (x.unflatten(0, (-1, together)).transpose(1, 2).flatten(2, 3) for x in (q, k, v))
    made = F.scaled_dot_product_attention(one, two, three, whole, scale=scale)
    return made.unflatten(2, (together, tokens)).transpose(1, 2).flatten(0, 1)


WAYS: dict[str, Core] = {"repeat": repeat, "grouped": grouped, "explicit": explicit, "padded": padded, "fused": fused}


def _repeated(q: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    both = bias[None] if mask is None else (bias + mask[:, None]).repeat(len(q) // len(mask), 1, 1, 1)
    return both.to(q.dtype)


def main() -> None:
    """Compare, measure, print the tables."""
    options = parse()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else cpu_name()
    print(f"machine: {name}, {os.cpu_count()} cores, torch {torch.__version__}, threads {torch.get_num_threads()}, load {os.getloadavg()[0]:.1f}")
    print(f"command: {' '.join(sys.argv)}\n")
    found = {"machine": name, "command": " ".join(sys.argv), "device": options.device, "dtype": options.dtype, "core": [], "encoder": []}
    print(f"alone, {HEADS} heads, {options.dtype}: milliseconds (forward; forward and backward)")
    print(f"{'head':>5}{'windows':>9}{'mask':>6}" + "".join(f"{way:>18}" for way in WAYS))
    for width in options.dims:
        for windows in options.windows:
            for masked in (False, True):
                times = core_times(width, windows, masked, device, getattr(torch, options.dtype), options.seconds)
                told = "".join(f"{1e3 * one:9.2f}{1e3 * two:9.2f}" for one, two in times.values())
                print(f"{width:>5}{windows:>9}{'yes' if masked else 'no':>6}{told}", flush=True)
                found["core"].append({"head_dim": width, "windows": windows, "mask": masked, "seconds": times})
    for which in options.encoder:
        found["encoder"].append(encoder_times(which, device, options))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--dims", type=int, nargs="+", default=[12, 24, 48, 96], help="numbers a head")
    parser.add_argument("--windows", type=int, nargs="+", default=[64, 256], help="windows a call, multiples of 4")
    parser.add_argument("--seconds", type=float, default=0.3, help="time of each measurement")
    parser.add_argument("--encoder", nargs="*", default=["tiny"], choices=["tiny", "base"])
    parser.add_argument("--batch", type=int, default=16, help="stamps for the encoder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures")
    return parser.parse_args()


def cpu_name() -> str:
    """Return what the processor calls itself."""
    if (path := Path("/proc/cpuinfo")).exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def core_times(width: int, windows: int, masked: bool, device: torch.device, dtype: torch.dtype, seconds: float) -> dict[str, tuple[float, float]]:
    """Return the seconds of forward, and of forward and backward, by way of computing; all must agree."""
    torch.manual_seed(0)
    tokens = WINDOW**2
    qkv = torch.randn(windows, tokens, 3, HEADS, width, device=device)
    bias = torch.randn(HEADS, tokens, tokens, device=device)
    mask = _shift_mask(SIDE, WINDOW, WINDOW // 2).to(device) if masked else None  # 4 windows
    exact = explicit(*qkv.double().permute(2, 0, 3, 1, 4), bias.double(), None if mask is None else mask.double(), width**-0.5)
    qkv = qkv.to(dtype).requires_grad_()
    learned, times = bias.clone().requires_grad_(), {}
    for name, way in WAYS.items():
        with torch.inference_mode():
            given = way(*qkv.permute(2, 0, 3, 1, 4), bias, mask, width**-0.5)
            error = (given.double() - exact).abs().max().item()
            if not error < (1e-5 if dtype == torch.float32 else 0.1):
                raise SystemExit(f"{name} differs from the others by {error:.2g} at head dimension {width}")
            forward = timed(lambda way=way: way(*qkv.permute(2, 0, 3, 1, 4), bias, mask, width**-0.5), device, seconds)  # type: ignore[misc]

        def both(way: Core = way) -> None:
            qkv.grad = learned.grad = None
            made = way(*qkv.permute(2, 0, 3, 1, 4), learned, mask, width**-0.5)
            made.transpose(1, 2).reshape(windows, tokens, -1).float().square().mean().backward()

        times[name] = (forward, timed(both, device, seconds))
    return times


def encoder_times(which: str, device: torch.device, options: argparse.Namespace) -> dict[str, object]:
    """Return stamps a second of the whole encoder by way of computing, and how far the features are apart."""
    torch.manual_seed(0)
    plain = TINY if which == "tiny" else LVMConfig(attention_dropout=0.0)
    network = LVM(plain).to(device).eval()
    image = torch.rand(options.batch, 3, plain.image_size, plain.image_size, device=device)
    print(f"\nencoder {which}, {plain.image_size} pixels, batch {options.batch}, {options.dtype}: stamps a second")
    print(f"{'':10}{'forward':>12}{'and backward':>14}{'largest difference':>20}")
    rates: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        reference = network.features(image)
    for name in ("model", *WAYS):
        with installed(WAYS.get(name)), torch.autocast(device.type, torch.bfloat16, enabled=options.dtype == "bfloat16"):
            with torch.inference_mode():
                apart = (network.features(image).float() - reference).abs().max().item()
                forward = timed(lambda: network.features(image), device, 4 * options.seconds)

            def both() -> None:
                network.zero_grad(set_to_none=True)
                network.features(image).float().square().mean().backward()

            backward = timed(both, device, 4 * options.seconds)
        rates[name] = {"forward": options.batch / forward, "backward": options.batch / backward, "difference": apart}
        print(f"{name:10}{options.batch / forward:12.1f}{options.batch / backward:14.1f}{apart:20.1e}", flush=True)
    return {"config": which, "batch": options.batch, "stamps_per_s": rates}


@contextmanager
def installed(way: Core | None) -> Iterator[None]:
    """Let all window attention be computed another way."""

    def forward(self: WindowAttention, x: Tensor, mask: Tensor | None) -> Tensor:
        windows, tokens, channels = x.shape
        q, k, v = self.qkv(x).view(windows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        assert way is not None
        made = way(q, k, v, bias.view(tokens, tokens, self.heads).permute(2, 0, 1), mask, self.scale)
        return self.proj(made.transpose(1, 2).reshape(windows, tokens, channels))

    WindowAttention.forward = forward if way is not None else MODEL_FORWARD  # type: ignore[method-assign]
    try:
        yield
    finally:
        WindowAttention.forward = MODEL_FORWARD  # type: ignore[method-assign]


def timed(act: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the median seconds of a call: of processor time on one CPU thread, which other programs do not change much."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    act()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = clock()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
