"""Live rooms from end to end: real senders, the real server and its processes, files, and the composed room."""
