"""The simulated slide rail and the bench made of it."""
