"""Which clips there are: layouts, labels and splits, clip lists, uploads, data sets known, simulated and downloaded.

Sound is opened through `audio` and `features.cache`; what a detector makes of it is decided elsewhere.
"""
