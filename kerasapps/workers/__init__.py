"""Processes beside this one: jobs, a Ray cluster, a watchdog, and how they share the machine."""
