"""Pictures and files for people: figures, the HTML report, the course report's experiment.

Figures are drawn from values that `tasks` and `evaluation` made; nothing is computed again.
"""
