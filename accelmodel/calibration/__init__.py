"""Constants fitted to measurements."""
