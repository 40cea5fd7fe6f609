"""Slipway: a container image in, a prediction URL out, and nothing left behind."""

__version__ = "0.1.0"
