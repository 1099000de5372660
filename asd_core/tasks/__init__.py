"""What a person asks for, one verb per file: train, evaluate, score, compare, tune, export, tidy up.

Tasks return values; they print nothing and draw nothing.
"""
