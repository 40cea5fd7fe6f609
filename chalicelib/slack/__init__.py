"""Slack: what it may ask for, and what it is told."""
