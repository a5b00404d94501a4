"""A stack as a whole: loading, planning, executing, its status and its logs."""
