"""Tractor and sweep files, mapped into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discovery.errors import StampError
from discovery.files.fits_blocks import check_complete
from discovery.tables.reader import fits_columns


class CatalogueFile:
    """The records of a catalogue, kept while this lives.

    Raises
    ------
    StampError
        The file is truncated, damaged or holds no table.
    """

    def __init__(self, path: Path) -> None:
        from astropy.io import fits

        try:
            if path.suffix != ".gz":
                with path.open("rb") as file:
                    check_complete(file, path.stat().st_size)
            with fits.open(path, memmap=path.suffix != ".gz") as hdus:
                records = hdus[1].data if len(hdus) > 1 else None
            if records is None or not records.dtype.names:
                raise StampError("holds no table")
            self.records: np.ndarray = records
            self.types = {field.name: field.type for field in fits_columns(self.records[:0]).schema}
        except StampError as error:
            raise StampError(f"the catalogue {path.name} cannot be read: {error}") from error
        except Exception as error:  # astropy raises many types on damaged files
            raise StampError(f"the catalogue {path.name} cannot be read: {str(error)[:200]}") from error

    def close(self) -> None:
        """Let go of the records."""
        del self.records
