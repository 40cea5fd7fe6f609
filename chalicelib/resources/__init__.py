"""One module per kind of AWS resource, each with `ensure`, `exists` and `delete`.

Every resource is named by the deployment's id (see `domain/naming.py`), so each module
finds what a crashed step created and never recorded. `ensure` creates, adopts or updates and may
run twice, or twice at once; `delete` succeeds where there is nothing and raises `NotReady`
while AWS still holds on; `exists` is what the end of a teardown asks.
"""
