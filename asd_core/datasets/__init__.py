"""Where clips come from: the simulated bench."""
