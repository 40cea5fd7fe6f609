"""The HTTP edge: parse a request, make one call, answer."""
