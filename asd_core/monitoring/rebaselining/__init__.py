"""Re-baseline: clips that somebody called normal, and what changes if they become part of normal."""
