"""Stamps: the pixels of one object, prepared for an encoder or rendered for people."""
