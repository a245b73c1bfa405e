"""Lenses in wide fields, found by Mask R-CNN."""
