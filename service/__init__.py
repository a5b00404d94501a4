"""The long-running process: a counter in Redis behind `Hello World! N times.`."""
