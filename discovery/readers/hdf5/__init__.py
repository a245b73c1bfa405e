"""HDF5 files of stamps, one module a layout."""
