"""Experiments as pages of a web site: forms, jobs that outlive the server, and trained networks that answer."""
