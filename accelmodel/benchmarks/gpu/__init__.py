"""Measurements on one NVIDIA GPU; README.md beside this file says how to run them and what the tables hold."""
