"""Telling somebody: the log of events, and the services that it is sent to, at least once and in order."""
