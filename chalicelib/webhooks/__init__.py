"""Webhooks: signed events, posted to each subscriber until it accepts them or the tries end."""
