"""The simulated slide rail, and the bench: a data set of its clips that anyone can generate.

Nothing here is a recording, and no detector or figure depends on how the clips were made.
"""
