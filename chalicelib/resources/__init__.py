"""One module per kind of AWS resource, each with `ensure`, `exists` and `delete`.

The name of every resource comes from the deployment ID (see `domain/naming.py`). So each module
finds a resource that a crashed step created but did not record.

- `ensure` creates, adopts or updates the resource. It can run twice, also concurrently.
- `delete` succeeds if the resource does not exist, and raises `NotReady` while AWS still uses it.
- `exists` returns the names that remain. The end of a teardown calls it.
"""
