"""Measurements, and the scripts that make the files that come with the project."""
