"""Packaging and linting of the AWS side of Slipway."""
