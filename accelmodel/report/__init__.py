"""Figures and HTML reports: drawing, no physics."""
