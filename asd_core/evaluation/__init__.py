"""Figures, thresholds, intervals and the DCASE evaluator's files; import what you need from the modules."""
