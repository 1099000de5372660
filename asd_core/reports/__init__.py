"""Pictures and files for people: figures, the HTML report, the course report's experiment.

They show values that `tasks` and `evaluation` computed, and compute none of their own.
"""
