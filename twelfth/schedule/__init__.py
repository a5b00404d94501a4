"""The scheduler: when jobs are due, that each fire starts one run at most, and what `status` warns about."""
