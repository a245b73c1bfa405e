"""Files from strangers: folders, archives and FITS blocks, read within limits."""
