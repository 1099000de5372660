"""Folders, whole files, locks, logs, processes and threads: what every room asks of the machine below it.

Nothing here knows of sound, detectors or people; it imports only `errors` and `formats`.
"""
