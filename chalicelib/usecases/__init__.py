"""What a caller can do: one function per verb, without HTTP.

The API and chat call the same functions with Python values. They raise the errors of
`domain/errors.py` and return domain objects; each edge renders its own answer.
"""
