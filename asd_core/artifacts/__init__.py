"""A trained detector on disk: versions, manifest, arrays.

What a version holds is decided by `detectors` and `tasks`; here it is written whole,
checked before it is read, and removed.
"""
