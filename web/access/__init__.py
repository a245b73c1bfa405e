"""Who may enter: hosts, tokens, sessions, CSRF."""
