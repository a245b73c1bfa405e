"""How good an encoder is: each module makes one table, from the held-out part only."""
