"""Listening all day: the watcher of a folder, its alarms, and the table of what it judged.

A single clip is scored by `tasks.score`; nothing here trains a detector or sets a threshold.
"""
