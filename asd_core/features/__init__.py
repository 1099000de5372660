"""`Waveform` to frames, patches and vectors, their cache on disk, and what makes a clip familiar.

Nothing is learned here but what an encoder brings along; which clips there are is the business of `data`.
"""
