"""A stack as services of a Docker Swarm; its runs are plain containers of the daemons in it."""
