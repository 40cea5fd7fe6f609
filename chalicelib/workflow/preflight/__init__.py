"""The checks before anything is made, one module a subject; `preflight.py` has their table."""
