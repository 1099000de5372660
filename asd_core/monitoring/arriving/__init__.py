"""When a clip has arrived: what is in a folder, when a file is whole, and when it was recorded."""
