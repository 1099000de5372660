"""What the networks train and score with: the seeded mini-batch loop, recurrent layers, compiled gates."""
