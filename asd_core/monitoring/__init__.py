"""Listening all day: the watcher of a folder and the table of what it judged."""
