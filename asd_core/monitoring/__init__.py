"""Listening all day: the watcher of a folder and the table of what it judged.

How a clip is scored is decided in `tasks`; pages read the table and never listen themselves.
"""
