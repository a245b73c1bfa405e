"""Restoring and reconstructing: seconds and memory by image size, and what it does to simulated galaxies.

Run ``python tests/benchmarks/restore.py --sizes 256 1024 --galaxies 40``. Galaxies: simulated stamps are blurred (Moffat,
FWHM 4 pixels) and noise is added, or a disk beside the centre is masked; PSNR is in the stretched space against
the stamp as it was, beside the degraded stamp's own and (for mending) beside smooth filling.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import galsim
import numpy as np
import torch
from astropy.io import fits
from scipy import fft

from discovery.restoration import ImageNetwork, load_network, restore_image
from discovery.restoration.images import mended, restored_change
from discovery.restoration.inpaint import fill
from discovery.restoration.stretch import stretch
from discovery.simulation.config import SurveyPlan
from discovery.simulation.draw import draw_target
from discovery.simulation.targets import draw_targets
from discovery.stamps.imaging_surveys import SURVEYS

STYLE = SURVEYS["legacy"]
RADII = (5, 8, 12, 20, 40)
FWHM_PIXELS = 4.0


def main() -> None:
    """Measure both, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 1024])
    parser.add_argument("--galaxies", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network = load_network(options.model)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, {options.threads} threads used, load {os.getloadavg()[0]:.1f}")
    print(f"command: python {' '.join(sys.argv)}")
    speed(network, options.sizes)
    if options.galaxies:
        stamps = simulated(options.galaxies)
        restoring(network, stamps)
        mending(network, stamps)


def speed(network: ImageNetwork, sizes: list[int]) -> None:
    """Print seconds of the clock and of the processor, and the memory of the process, for images of noise and galaxies."""
    print(f"\n{'side':>6} {'seconds':>8} {'cpu':>8} {'peak MiB':>9}")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        network.restore(np.zeros((32, 3, network.side, network.side), np.float32))
        for side in sizes:
            path = Path(folder) / f"{side}.fits"
            fits.writeto(path, field(rng, side))
            clock, processor = time.perf_counter(), time.process_time()
            restore_image(path, path.with_suffix(".out.fits"), network)
            print(
                f"{side:6} {time.perf_counter() - clock:8.1f} {time.process_time() - processor:8.1f} "
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:9.0f}"
            )


def field(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return (3, side, side) nanomaggies: noise and one small source in 10,000 pixels."""
    planes = rng.normal(0, 0.006, (3, side, side)).astype(np.float32)
    y, x = np.mgrid[-20:21, -20:21]
    for _ in range(side**2 // 10000):
        row, column = rng.integers(20, side - 20, 2)
        light = 10 ** rng.uniform(-2, 1) * np.exp(-np.hypot(y, x) / rng.uniform(1, 4))
        planes[:, row - 20 : row + 21, column - 20 : column + 21] += light.astype(np.float32)
    return planes


def simulated(count: int) -> list[np.ndarray]:
    """Return stamps (3, 152, 152) of simulated galaxies of every kind, artefacts and stars left out."""
    targets = [t for t in draw_targets(SurveyPlan(galaxies=10 * count, seed=77)) if t.truth_class not in ("artefact", "star")]
    return [draw_target(77, target).pixels for target in targets[:: len(targets) // count][:count]]


def restoring(network: ImageNetwork, stamps: list[np.ndarray]) -> None:
    """Print the gain in PSNR, and how much the flux in apertures about the centre changes."""
    rng, gains, moved = np.random.default_rng(1), [], []
    y, x = np.mgrid[:152, :152] - 75.5
    apertures = [np.hypot(y, x) <= radius for radius in RADII]
    for stamp in stamps:
        sigma = rng.uniform(0.5, 2) * np.array([0.0015, 0.0024, 0.006])[:, None, None]
        poor = blurred(stamp) + rng.normal(0, 1, stamp.shape) * sigma
        better = poor + restored_change(poor, np.zeros((152, 152), bool), network, STYLE)
        gains.append((psnr(poor, stamp), psnr(better, stamp)))
        moved.append([np.abs((better - poor)[:, area].sum(1) / poor[:, area].sum(1)).max() for area in apertures])
    before, after = np.array(gains).T
    print(f"\nrestored, {len(stamps)} galaxies: PSNR {before.mean():.2f} -> {after.mean():.2f} dB, better in {np.mean(after > before):.0%}")
    for radius, change in zip(RADII, np.array(moved).T, strict=True):
        print(f"flux within {radius:2} pixels changes by {100 * np.median(change):.2f} % (median), {100 * change.max():.2f} % (largest, worst band)")


def mending(network: ImageNetwork, stamps: list[np.ndarray]) -> None:
    """Print PSNR inside masked disks: network, smooth filling, nothing (0)."""
    print()
    y, x = np.mgrid[:152, :152]
    for radius in (4, 8, 16, 30):
        rng, quality = np.random.default_rng(2), []
        for stamp in stamps:
            angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5) * radius
            mask = np.hypot(y - 75.5 - away * np.sin(angle), x - 75.5 - away * np.cos(angle)) <= radius
            hidden = np.where(mask, 0, stamp)
            quality.append([psnr(made, stamp, mask) for made in (mended(hidden, mask, network, STYLE), fill(hidden, mask), hidden)])
        made, smooth, nothing = np.mean(quality, axis=0)
        print(f"mended disks of radius {radius:2}: PSNR {made:.2f} dB, smooth filling {smooth:.2f}, nothing {nothing:.2f}")


def blurred(stamp: np.ndarray) -> np.ndarray:
    """Return a stamp convolved with a Moffat PSF (periodic)."""
    psf = galsim.Moffat(beta=3.5, fwhm=FWHM_PIXELS).drawImage(nx=153, ny=153, scale=1, method="no_pixel").array[:152, :152]
    spectrum = fft.rfft2(fft.ifftshift(psf / psf.sum()))
    return fft.irfft2(fft.rfft2(stamp) * np.abs(spectrum), s=stamp.shape[1:])


def psnr(image: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB, in the stretched space clipped to 0..1 (peak 1)."""
    difference = np.clip(stretch(image, STYLE), 0, 1) - np.clip(stretch(truth, STYLE), 0, 1)
    return float(-10 * np.log10(np.mean((difference if where is None else difference[:, where]) ** 2)))


if __name__ == "__main__":
    main()
