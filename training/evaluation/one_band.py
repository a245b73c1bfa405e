"""Surveys of one band, written once as pictures of three equal bands, so that encoders of colours can be measured on them."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np

from discovery.errors import ConfigError


def in_three_bands(folder: Path, out: Path) -> Path:
    """Return a folder with a survey's stamps in three equal bands and its table; it is made where it is missing.

    The survey is a folder with ``stamps.zip`` and ``labels.csv``, whose column ``file`` names the members.
    """
    if (out / "stamps.zip").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    (out / "labels.csv").write_bytes((folder / "labels.csv").read_bytes())
    with (folder / "labels.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file)]
    with zipfile.ZipFile(folder / "stamps.zip") as source, zipfile.ZipFile(out / "stamps.part", "w") as target:
        for name in names:
            colours = cv2.imdecode(np.frombuffer(source.read(name), np.uint8), cv2.IMREAD_COLOR)
            if colours is None:
                raise ConfigError(f"{name} in {folder / 'stamps.zip'} is no picture that can be read.")
            target.writestr(name, cv2.imencode(".png", colours)[1].tobytes())
    (out / "stamps.part").rename(out / "stamps.zip")
    return out
