"""Programs for people: sharpen and denoise a FITS image, and mend its masked parts.

`restore_image` and `reconstruct_image` take a file and write a file. Below them: `stretch` (fluxes to what the
network sees, and exactly back), `tiles` (images of any size through a network of one size), `flux` (apertures keep
their flux), `mosaic` (FITS in and out) and `masks` (what is to be mended).
"""

from discovery.restoration.images import Outcome, reconstruct_image, restore_image
from discovery.restoration.network import ImageNetwork, load_network

__all__ = ["ImageNetwork", "Outcome", "load_network", "reconstruct_image", "restore_image"]
