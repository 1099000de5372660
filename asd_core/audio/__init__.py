"""Bytes to `Waveform`: bounded reading, uploads decoded in a limited child process, long recordings cut into segments.

No features and no clip lists: a caller names the file.
"""
