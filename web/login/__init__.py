"""The page that asks for the token and a name."""
