"""When jobs are due, the scheduler that starts each fire at most once, and what `status` warns about."""
