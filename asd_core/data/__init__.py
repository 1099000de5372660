"""Which clips there are: layouts, labels and splits, clip lists, uploads; known, simulated and downloaded data sets.

Sound is opened through `audio` and `features.cache`; what a detector makes of it is decided elsewhere.
"""
