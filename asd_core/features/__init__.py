"""`Waveform` to frames, patches and vectors, their cache on disk, and what makes a clip familiar.

Nothing is learned here; which clips there are is the business of `data`.
"""
