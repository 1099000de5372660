"""Folders, whole files, locks, logs, processes and threads: what every room needs of the machine below it.

Nothing here knows of sound, detectors or people; it imports only `errors` and `formats`.
"""
