"""Tasks in the background: the table of runs on disk, the process that works, and the queue that starts it.

What a run does is in `tasks` and works as well without a job; how it is shown is the business of the pages.
"""
