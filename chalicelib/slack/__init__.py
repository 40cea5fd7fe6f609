"""Slack: its requests to Slipway, and the messages that Slipway posts."""
