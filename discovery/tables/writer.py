"""Tables for people and other programs: csv, FITS, VOTable and Parquet, with units and UCDs."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from discovery.errors import QueryError
from discovery.storage.atomic import made_beside

if TYPE_CHECKING:
    from astropy.io.fits import Card
    from astropy.io.votable.tree import Info
    from astropy.table import Table

SIDECAR_SUFFIX = ".provenance.json"
FORMULA_STARTS = "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
"""A spreadsheet may take a cell that starts with one of these for a formula."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """Unit and UCD of a column (IVOA UCD1+), and what it is."""

    unit: str | None = None
    ucd: str | None = None
    description: str | None = None


MEANINGS: tuple[tuple[str, Meaning], ...] = (
    ("object_id", Meaning(ucd="meta.id;meta.main", description="The survey's name of the object")),
    ("row", Meaning(ucd="meta.record", description="Row of the release")),
    ("ra", Meaning(unit="deg", ucd="pos.eq.ra;meta.main", description="Right ascension, ICRS")),
    ("dec", Meaning(unit="deg", ucd="pos.eq.dec;meta.main", description="Declination, ICRS")),
    ("similarity", Meaning(ucd="stat.correlation", description="Cosine with the query vector")),
    ("probability", Meaning(ucd="stat.probability", description="Of being what is hunted for")),
    ("score", Meaning(ucd="stat.likelihood")),
    ("_healpix_29", Meaning(ucd="pos.healpix", description="HEALPix pixel of order 29, nested")),
    (r"mag_([griz])", Meaning(unit="mag", ucd="phot.mag;em.opt", description="AB magnitude, not dereddened")),
    (r"mag_([griz])_dered", Meaning(unit="mag", ucd="phot.mag;em.opt", description="AB magnitude, dereddened")),
    ("crop_side_arcsec", Meaning(unit="arcsec", ucd="phys.angSize", description="Side of the square the encoder saw")),
    (r"crop_(row|column)[01]", Meaning(unit="pix", ucd="pos.cartesian;instr.det")),
    (r"flag_\w+", Meaning(ucd="meta.code.qual")),
    (r"(fiber)?flux(_[grizw12]+)?", Meaning(ucd="phot.flux", description="Nanomaggies: 1 is AB magnitude 22.5")),
    ("ebv", Meaning(unit="mag", ucd="phot.color.excess")),
    (r"psfsize(_\w+)?", Meaning(unit="arcsec", ucd="instr.det.psf")),
    (r"shape\w*_r", Meaning(unit="arcsec", ucd="phys.angSize")),
    (r"z_(spec|phot_\w+)|redshift", Meaning(ucd="src.redshift")),
)
"""Neither FITS nor VOUnit knows the nanomaggy: it stands in the description, which no reader stumbles over."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of what a file says about its table.

    Attributes
    ----------
    name : str
        Of the VOTable's INFO and the Parquet file's metadata.
    keyword : str
        Of the FITS card: at most 8 capital letters, digits, ``-`` and ``_``.
    value : str, int, float, bool, list, dict or None
        Lists and dicts are written as JSON where the format has none; None is left out of VOTables.
    description : str
        What it is.
    """

    name: str
    keyword: str
    value: Any
    description: str


def write_table(table: pa.Table, path: Path | str, about: Sequence[Fact] = ()) -> Path:
    """Write a table as its file name's suffix says: .csv, .fits, .vot or .parquet; an existing file is replaced.

    Missing values are empty in csv, NaN or empty in FITS, NULL in the others. No cell of a csv can start
    a spreadsheet formula: such texts get a ``'`` before them.

    Parameters
    ----------
    about : sequence of Fact, optional
        What the file is to say about the table: cards of the FITS extension, INFO elements of the VOTable, metadata of the
        Parquet schema. A csv has no place that every reader skips: for it they stand in a file of their own beside it,
        see `sidecar_path`.

    Raises
    ------
    QueryError
        If the suffix is another one, or the file cannot be written.
    """
    path = Path(path)
    writer = check_table_path(path)
    try:
        with made_beside(path) as beside:
            writer(table, beside, about)
        if about and path.suffix.lower() == ".csv":
            document = {fact.name: _plain(fact.value) for fact in about}
            sidecar_path(path).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as problem:
        raise QueryError(f"{path} cannot be written: {problem.strerror or problem}.") from problem
    return path


def sidecar_path(path: Path | str) -> Path:
    """Return the file beside a csv that says what the table is: mergers.csv has mergers.provenance.json."""
    return Path(path).with_suffix(SIDECAR_SUFFIX)


def check_table_path(path: Path | str) -> Callable[[pa.Table, Path, Sequence[Fact]], None]:
    """Return the writer for a file name; QueryError for a suffix that is not known."""
    writers = {".csv": _write_csv, ".fits": _write_fits, ".vot": _write_votable, ".parquet": _write_parquet}
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise QueryError(f"'{path}' is no table's name: end it in .csv, .fits, .vot or .parquet.")
    return writers[suffix]


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as JSON-able objects: numbers that are not finite become None."""
    return [{name: _plain(value) for name, value in line.items()} for line in table.to_pylist()]


def formula_safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; plain numbers stay as they are."""
    start = text.lstrip(" \u00a0")[:1]
    return f"'{text}" if start and start in FORMULA_STARTS and not re.fullmatch(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", text, re.I) else text


def meaning(name: str) -> Meaning:
    """Return what is known of a column by its name."""
    return next((known for pattern, known in MEANINGS if re.fullmatch(pattern, name, re.I)), Meaning())


def _write_csv(table: pa.Table, path: Path, _about: Sequence[Fact]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([formula_safe(name) for name in table.column_names])
        for batch in table.to_batches(4096):
            columns = [column.to_pylist() for column in batch.columns]
            writer.writerows([_cell(value) for value in line] for line in zip(*columns, strict=True))


def _cell(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, list | dict):
        value = json.dumps(value)
    return formula_safe(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _write_parquet(table: pa.Table, path: Path, about: Sequence[Fact]) -> None:
    import pyarrow.parquet

    fields = []
    for field in table.schema:
        known = {key: value for key, value in vars(meaning(field.name)).items() if value is not None}
        fields.append(field.with_metadata(known) if known else field)
    about_texts = {fact.name: _about_text(fact.value) for fact in about}
    pyarrow.parquet.write_table(table.cast(pa.schema(fields, metadata=about_texts or None)), path)


def _write_fits(table: pa.Table, path: Path, about: Sequence[Fact]) -> None:
    from astropy.io import fits

    columns = _astropy(table)
    for column in columns.itercols():
        if column.dtype.kind == "U":  # a FITS table holds ASCII alone
            columns[column.name] = np.strings.encode(column.data, "ascii", "backslashreplace")
    hdu = fits.table_to_hdu(columns)
    for number, name in enumerate(table.column_names, 1):
        known = meaning(name)
        for key, value in (("TUNIT", known.unit), ("TUCD", known.ucd), ("TCOMM", known.description)):
            if value is not None:
                hdu.header[f"{key}{number}"] = value
    for fact in about:
        hdu.header.append(_card(fact))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def _card(fact: Fact) -> Card:
    """Return a fact as a FITS card; its description stands behind the value where there is room."""
    from astropy.io.fits import Card

    value = _plain(fact.value)
    if value is not None and not isinstance(value, bool | int | float):
        value = _about_text(value).encode("ascii", "backslashreplace").decode()
    used = len(Card(fact.keyword, value).image.rstrip())  # a long text goes on in further cards, which have room
    roomy = used > 80 or max(used, 30) + len(" / ") + len(fact.description) <= 80
    return Card(fact.keyword, value, fact.description if roomy else "")


def _about_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _write_votable(table: pa.Table, path: Path, about: Sequence[Fact]) -> None:
    from astropy.io.votable import from_table

    document = from_table(_astropy(_signed(table)))
    for field in document.get_first_table().fields:
        known = meaning(field.name)
        field.unit = known.unit
        field.ucd = known.ucd
        field.description = known.description
    document.resources[0].infos.extend(_info(fact) for fact in about if fact.value is not None)
    document.to_xml(str(path))


def _signed(table: pa.Table) -> pa.Table:
    """Return a table without unsigned 64-bit columns, which VOTables have not: long where all values fit, else text."""
    for at, field in enumerate(table.schema):
        if pa.types.is_uint64(field.type):
            values = table.column(at)
            try:
                values = values.cast(pa.int64())
            except pa.ArrowInvalid:
                values = values.cast(pa.string())
            table = table.set_column(at, field.name, values)
    return table


def _info(fact: Fact) -> Info:
    """Return a fact as INFO: astropy writes a PARAM's ``<`` as one that reads back as ``&lt;``."""
    from astropy.io.votable.tree import Info

    info = Info(name=fact.name, value=_about_text(fact.value))
    info.content = fact.description
    return info


def _astropy(table: pa.Table) -> Table:
    from astropy.table import Table

    return Table({name: _column(table[name].combine_chunks()) for name in table.column_names})


def _column(array: pa.Array) -> Any:
    """Return an Arrow column as what FITS and VOTable can hold: numbers, texts, or rows of numbers."""
    from astropy.table import MaskedColumn

    kind = array.type
    if pa.types.is_floating(kind):
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(kind) and array.null_count == 0:
        return array.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        integers = array.cast(pa.int16()) if pa.types.is_boolean(kind) else array
        values = integers.fill_null(0).to_numpy(zero_copy_only=False)
        return MaskedColumn(values, mask=array.is_null().to_numpy(zero_copy_only=False)) if array.null_count else values
    if pa.types.is_fixed_size_list(kind) and _numeric(kind.value_type) and array.null_count == 0:
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(array), kind.list_size)
    texts = ["" if value is None else str(_cell_text(value)) for value in array.to_pylist()]
    return np.array(texts or [""], dtype=str)[: len(texts)]


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _cell_text(value: Any) -> Any:
    value = _plain(value)
    return json.dumps(value) if isinstance(value, list | dict) else value
