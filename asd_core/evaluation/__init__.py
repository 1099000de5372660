"""Pure functions on scores: metrics, threshold rules, intervals, localisation, official scoring.

No file of a detector is opened here and no clip is heard.
"""
