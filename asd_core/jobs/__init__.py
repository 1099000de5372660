"""Tasks in the background: the table of runs on disk, the process that works, and the queue that starts it."""
