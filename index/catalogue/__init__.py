"""Our columns of the catalogue: quality, duplicates, ids."""
