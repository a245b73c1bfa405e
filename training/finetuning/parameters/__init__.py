"""Catalogue parameters from stamps: redshift, magnitude, size, ellipticity, or any other number."""
