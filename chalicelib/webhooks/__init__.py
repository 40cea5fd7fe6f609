"""Webhooks out: signed events, told to the URLs that asked for them until they have taken them."""
