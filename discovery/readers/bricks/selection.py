"""Legacy Survey catalogues, old and new columns: what they have, and the usual selection of galaxies."""

from __future__ import annotations

import numpy as np

MASK_BITS = (0, 1, 2, 3, 4, 5, 6, 7, 11, 14, 15)
"""MASKBITS that must be clear: not primary, bright or medium star, saturated or masked in g, r, z or i."""
NO_GALAXY_TYPES = ("PSF", "DUP")
DECAM_BANDS = "ugrizY"
"""Order of the array columns ``decam_flux``, ``decam_nobs`` and so on of the oldest releases."""


class CatalogueColumns:
    """Columns of FITS records by lower-case name, with the bands of the oldest releases kept apart.

    Parameters
    ----------
    records : numpy.ndarray
        Records of a tractor or sweep file.
    """

    def __init__(self, records: np.ndarray) -> None:
        self._records = records
        self._names = {name.lower(): name for name in reversed(records.dtype.names or ())}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def get(self, name: str) -> np.ndarray | None:
        """Return a column by its lower-case name; None without it."""
        return np.asarray(self._records[self._names[name]]) if name in self._names else None

    def in_band(self, quantity: str, band: str) -> np.ndarray | None:
        """Return a quantity in one band: ``flux_g``, or the plane of ``decam_flux``; None without it."""
        column = self.get(f"{quantity}_{band}")
        if column is not None:
            return column
        column = self.get(f"decam_{quantity}")
        return None if column is None else column[:, DECAM_BANDS.index(band)]

    def describe(self) -> str:
        """Say which generation of columns these are, and what is missing."""
        if "shape_r" in self:
            generation = "columns of DR8 and later (SHAPE_R)"
        elif "shapedev_r" in self or "shapeexp_r" in self:
            generation = "columns of DR7 and earlier (SHAPEDEV_R, SHAPEEXP_R)"
        else:
            generation = "no shape columns"
        missing = [band for band in "grz" if self.in_band("flux", band) is None]
        return generation + (f", no flux in {' '.join(missing)}" if missing else "")


def usual_selection(
    columns: CatalogueColumns, n_rows: int, bands: tuple[str, ...], max_mag: float
) -> tuple[np.ndarray, list[str]]:
    """Return which objects the usual galaxy selection keeps, and the cuts that could be made.

    A cut whose column is missing is not made; the second result says which were.

    Parameters
    ----------
    columns : CatalogueColumns
        The catalogue.
    n_rows : int
        Its number of lines N.
    bands : tuple of str
        Bands that must have been observed.
    max_mag : float
        Faintest magnitude (AB) in z, or in r where there is no z.

    Returns
    -------
    keep : numpy.ndarray
        (N,) bool.
    cuts : list of str
        The cuts made, in words.
    """
    keep = np.ones(n_rows, bool)
    cuts: list[str] = []
    if (primary := columns.get("brick_primary")) is not None:
        keep &= primary.astype(bool)
        cuts.append("BRICK_PRIMARY")
    if (types := columns.get("type")) is not None:
        keep &= ~np.isin(_stripped(types), NO_GALAXY_TYPES)
        cuts.append("TYPE not PSF or DUP")
    for band in bands:
        if (n_observed := columns.in_band("nobs", band)) is not None:
            keep &= n_observed > 0
            cuts.append(f"NOBS_{band.upper()} > 0")
    keep &= _bright(columns, max_mag, cuts)
    keep &= _unmasked(columns, bands, cuts)
    return keep, cuts


def _bright(columns: CatalogueColumns, max_mag: float, cuts: list[str]) -> np.ndarray | bool:
    for band in ("z", "r"):
        if (flux_nmgy := columns.in_band("flux", band)) is not None:
            cuts.append(f"{band} < {max_mag:g}")
            return flux_nmgy > 10 ** ((22.5 - max_mag) / 2.5)
    return True


def _unmasked(columns: CatalogueColumns, bands: tuple[str, ...], cuts: list[str]) -> np.ndarray | bool:
    if (maskbits := columns.get("maskbits")) is not None:
        cuts.append(f"MASKBITS {','.join(map(str, MASK_BITS))} clear")
        return (maskbits.astype(np.int64) & sum(1 << bit for bit in MASK_BITS)) == 0
    keep: np.ndarray | bool = True
    for band in bands:
        if (masked := columns.in_band("allmask", band)) is not None:
            cuts.append(f"ALLMASK_{band.upper()} = 0")
            keep = keep & (masked == 0)
    return keep


def _stripped(types: np.ndarray) -> np.ndarray:
    if types.dtype.kind == "S":
        types = np.char.decode(types, "ascii", "replace")
    return np.char.strip(types.astype(str))
