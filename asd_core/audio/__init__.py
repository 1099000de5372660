"""Bytes to `Waveform`: bounded reading, a limited child process for uploads and compressed sound, long recordings.

No features and no clip lists: a caller names the file.
"""
