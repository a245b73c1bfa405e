"""Legacy Survey bricks: stamps cut out of coadds at the positions of a catalogue."""
