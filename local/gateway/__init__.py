"""The gateway in front of MiniStack: the local stack's `aws_endpoint_url`.

It checks who calls, relays the call, and completes the answers that MiniStack leaves incomplete.
The same process runs the local stack's load balancers (`local/load_balancers`).
"""
