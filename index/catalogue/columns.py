"""Our columns of the catalogue, computed from those that came with the survey."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from discovery.tables.columns import unit_of
from discovery.tables.fluxes import nanomaggies_in

BANDS = ("g", "r", "z")
HEALPIX_ORDER = 29
EXTINCTION = {"g": 3.214, "r": 2.165, "z": 1.211}
"""A_band / E(B-V) of the Legacy Surveys' bands (DR8 and later, legacysurvey.org/dr9/catalogs, "Galactic extinction")."""
BAD_MASKBITS = sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 11, 14, 15))
"""Not primary, bright star, saturated, masked in all exposures of g r z i, or medium-bright star: not to be set in the usual selection."""
PARTIAL_BELOW = 0.98
"""A stamp of which a smaller fraction was observed in some band is partial."""
OURS = (
    "row", "object_id", "ra", "dec", "_healpix_29",
    *(f"mag_{band}" for band in BANDS), *(f"mag_{band}_dered" for band in BANDS),
    "crop_side_arcsec", "crop_row0", "crop_row1", "crop_column0", "crop_column1",
    "flag_star", "flag_masked", "flag_partial", "flag_artefact", "primary_row", "survey_position",
)  # fmt: skip


def catalogue_part(came: pa.Table, measures: pa.Table, first_row: int) -> pa.Table:
    """Return the catalogue's rows of a shard's good stamps, all but ``primary_row``.

    Parameters
    ----------
    came : pyarrow.Table
        The survey's columns, one table row a good stamp.
    measures : pyarrow.Table
        What was measured on the same stamps.
    first_row : int
        Row of the first of them.
    """
    ra_deg, dec_deg = sky_positions(came)
    fluxes, dereddened = band_fluxes(came), dereddened_fluxes(came)
    ours: dict[str, pa.Array | pa.ChunkedArray] = {
        "row": pa.array(np.arange(first_row, first_row + came.num_rows)),
        "object_id": came["object_id"],
        "ra": _nullable(ra_deg),
        "dec": _nullable(dec_deg),
        "_healpix_29": healpix_pixels(ra_deg, dec_deg),
    }
    ours |= {f"mag_{band}": _nullable(magnitude_ab(fluxes[band])) for band in BANDS}
    ours |= {f"mag_{band}_dered": _nullable(magnitude_ab(dereddened[band])) for band in BANDS}
    for name in ("crop_side_arcsec", "crop_row0", "crop_row1", "crop_column0", "crop_column1"):
        ours[name] = measures[name]
    ours["flag_star"] = pa.array(star_flags(came))
    ours["flag_masked"] = pa.array(mask_flags(came))
    ours["flag_partial"] = pc.less(measures["covered_fraction"], PARTIAL_BELOW)
    ours["flag_artefact"] = measures["flag_artefact"]
    ours["survey_position"] = measures["survey_position"]
    names = kept_names(came)
    others = {new: came[old] for old, new in names.items()}
    return pa.table({name: values for name, values in ours.items() if name not in others} | others)


def kept_names(came: pa.Table) -> dict[str, str]:
    """Return the survey's columns by their names in the catalogue: the same, unless one of ours has it (``survey_NAME``).

    Magnitudes that came as numbers keep their name, and stand in place of ours.
    """
    numbers = {name.lower() for name in came.column_names if _is_number(came.schema.field(name).type)}
    free = {f"mag_{band}{which}" for band in BANDS for which in ("", "_dered")} & numbers
    taken = {name.lower() for name in OURS if name not in free}
    kept: dict[str, str] = {}
    for old in came.column_names:
        if old in ("object_id", "ra", "dec"):
            continue
        new = old.lower() if old.lower() in free else old
        while new.lower() in taken:
            new = f"survey_{new}"
        taken.add(new.lower())
        kept[old] = new
    return kept


def sky_positions(came: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) right ascension in 0..360 and declination in degrees, NaN where there is no position."""
    ra_deg, dec_deg = _floats(came["ra"]), _floats(came["dec"])
    good = np.isfinite(ra_deg) & (np.abs(ra_deg) <= 360) & (np.abs(dec_deg) <= 90)
    return np.where(good, ra_deg % 360, np.nan), np.where(good, dec_deg, np.nan)


def healpix_pixels(ra_deg: np.ndarray, dec_deg: np.ndarray) -> pa.Array:
    """Return the HEALPix pixels (order 29, nested, ICRS) of positions, NULL where there is none."""
    from astropy import units
    from astropy_healpix import lonlat_to_healpix

    known = np.isfinite(ra_deg)
    pixels = np.zeros(len(ra_deg), np.int64)
    if known.any():
        pixels[known] = lonlat_to_healpix(
            ra_deg[known] * units.deg, dec_deg[known] * units.deg, nside=2**HEALPIX_ORDER, order="nested"
        )
    return pa.array(pixels, mask=~known)


def magnitude_ab(flux_nmgy: np.ndarray) -> np.ndarray:
    """Return ``22.5 - 2.5 log10(flux)`` for fluxes in nanomaggies, NaN for flux <= 0."""
    positive = np.isfinite(flux_nmgy) & (flux_nmgy > 0)
    return np.where(positive, 22.5 - 2.5 * np.log10(np.where(positive, flux_nmgy, 1.0)), np.nan)


def band_fluxes(came: pa.Table) -> dict[str, np.ndarray]:
    """Return (n,) fluxes in nanomaggies by band, NaN where none came: ``flux`` (n, 3) or ``FLUX_G`` ...

    A flux whose unit the survey states is converted by it; one of a unit without a zero point counts as none.
    """
    fluxes = _by_band(came, "flux", "flux_{band}")
    for band in BANDS:
        name = "flux" if _is_vector(came, "flux") else f"flux_{band}"
        own = next((own for own in came.column_names if own.lower() == name), None)
        fluxes[band] = fluxes[band] * (1.0 if own is None else nanomaggies_in(unit_of(came, own)))
    return fluxes


def dereddened_fluxes(came: pa.Table) -> dict[str, np.ndarray]:
    """Return fluxes divided by the Galactic transmission, which came or follows from E(B-V)."""
    fluxes = band_fluxes(came)
    transmission = _by_band(came, "transmission", "mw_transmission_{band}")
    ebv = _named(came, "ebv")
    for band in BANDS:
        if ebv is not None:
            from_ebv = 10 ** (-0.4 * EXTINCTION[band] * _floats(ebv))
            transmission[band] = np.where(np.isnan(transmission[band]), from_ebv, transmission[band])
        usable = (transmission[band] > 0) & (transmission[band] <= 1)
        fluxes[band] = np.where(usable, fluxes[band] / np.where(usable, transmission[band], 1.0), np.nan)
    return fluxes


def star_flags(came: pa.Table) -> np.ndarray:
    """Return which objects the survey took for a point source (TYPE or source_type PSF): (n,) bool."""
    flags = np.zeros(came.num_rows, bool)
    for name in ("type", "source_type"):
        kinds = _named(came, name)
        if kinds is not None:
            flags |= np.array([_is_psf(kind) for kind in kinds.to_pylist()], bool)
    return flags


def mask_flags(came: pa.Table) -> np.ndarray:
    """Return which objects have one of `BAD_MASKBITS` set in MASKBITS: (n,) bool."""
    bits = _named(came, "maskbits")
    if bits is None or not pa.types.is_integer(bits.type):
        return np.zeros(came.num_rows, bool)
    return (bits.cast(pa.int64()).fill_null(0).to_numpy() & BAD_MASKBITS) != 0


def _is_number(type_: pa.DataType) -> bool:
    return pa.types.is_floating(type_) or pa.types.is_integer(type_)


def _is_vector(came: pa.Table, name: str) -> bool:
    values = _named(came, name)
    return values is not None and (pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type))


def _is_psf(kind: object) -> bool:
    text = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    return text.strip().upper() == "PSF"


def _by_band(came: pa.Table, whole: str, single: str) -> dict[str, np.ndarray]:
    together = _named(came, whole)
    if together is not None and _is_vector(came, whole):
        return {band: _floats(pc.list_element(together, at)) for at, band in enumerate(BANDS)}
    found = {band: _named(came, single.format(band=band)) for band in BANDS}
    nothing = np.full(came.num_rows, np.nan)
    return {band: nothing.copy() if values is None else _floats(values) for band, values in found.items()}


def _named(came: pa.Table, name: str) -> pa.ChunkedArray | None:
    return next((came[own] for own in came.column_names if own.lower() == name), None)


def _floats(values: pa.ChunkedArray) -> np.ndarray:
    if not _is_number(values.type):
        return np.full(len(values), np.nan)
    return values.cast(pa.float64()).to_numpy()


def _nullable(values: np.ndarray) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values))
