"""Folders, whole files, locks, logs, processes and threads: what every room needs from the operating system.

Nothing here knows of sound, detectors or people; it imports only `errors` and `formats`.
"""
