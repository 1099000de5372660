"""Tasks in the background: the table of runs on disk, the process that works, and the queue that starts it.

What is done is decided in `tasks` and `data`; here it is started, watched and ended outside the dashboard's process.
"""
