"""AWS's texts about failures, as data: how Slipway recognizes each, and what it means.

- `stopped_reasons.py`: why a task stopped (`pull_errors.py`, `start_errors.py` and
  `initialization_errors.py` have the rows of one error name each);
- `service_events.py`: why a service starts no task;
- `log_signs.py` and `listening.py`: log lines of common programs that reveal the cause;
- `chalicelib/platform/api_errors.py`: errors of API calls.

Each row names its source and the texts that it must recognize. The tests try every text, also with
hostile names in it.
"""
