"""Scenes of the simulated survey: galaxies, lenses, mergers, stars, artefacts, and what the telescope adds."""
