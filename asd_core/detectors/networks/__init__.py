"""What the networks train and score with: the seeded mini-batch loop in torch, and graphs that score.

No detector lives here: each is a file one folder up and chooses its own layers, windows and loss.
"""
