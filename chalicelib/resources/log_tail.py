"""The last log lines of a deployment, to keep when its log group is deleted.

FilterLogEvents reads forward only. So GetLogEvents, which reads one stream from its end, finds when
the last lines began. FilterLogEvents then returns them in the order and with the IDs that
`log_lines` uses, so a reader's position stays right.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from chalicelib.platform import aws
from chalicelib.resources.log_group import name_of

MOST_LINES = 1000
MOST_BYTES = 256 * 1024
# A stream is one task. More of them must not delay the teardown: GetLogEvents is throttled.
MOST_STREAMS = 20
# A page can be empty and still have another one before it.
MOST_PAGES = 3

Event = dict[str, Any]


def read(deployment_id: str) -> list[Event]:
    """The last lines of all tasks as FilterLogEvents returns them, oldest first.

    At most `MOST_LINES`, whose messages have at most `MOST_BYTES` in UTF-8. Empty if there is no
    log group.
    """
    logs, group = aws.client("logs"), name_of(deployment_id)
    try:
        newest = [event for stream in _streams(group) for event in _last_of(group, stream)]
        last = _fitting(sorted(newest, key=lambda event: int(event["timestamp"])))
        if not last:
            return []
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=last[0]["timestamp"], interleaved=True
        )
        read = deque((event for page in pages for event in page["events"]), MOST_LINES)
    except logs.exceptions.ResourceNotFoundException:
        return []
    names = ("timestamp", "eventId", "logStreamName", "message")
    return [{name: event[name] for name in names} for event in _fitting(read)]


def _streams(group: str) -> list[str]:
    """The newest log streams. Their last event is not known for up to an hour."""
    pages = aws.client("logs").get_paginator("describe_log_streams").paginate(logGroupName=group)
    streams = [stream for page in pages for stream in page["logStreams"]]
    streams.sort(key=lambda stream: int(stream["creationTime"]), reverse=True)
    return [stream["logStreamName"] for stream in streams[:MOST_STREAMS]]


def _last_of(group: str, stream: str) -> list[Event]:
    """The last events of a stream: a page has up to `MOST_LINES` or 1 MB."""
    request = {"logGroupName": group, "logStreamName": stream, "limit": MOST_LINES}
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = aws.client("logs").get_log_events(**request, startFromHead=False, **token)
        if page["events"]:
            return list(page["events"])
        before, token = token, {"nextToken": page["nextBackwardToken"]}
        if token == before:
            break
    return []


def _fitting(events: Iterable[Event]) -> list[Event]:
    """The last of the events that fit, of which the first message may lose its start."""
    kept: list[Event] = []
    room = MOST_BYTES
    for event in reversed(list(events)):
        message = event["message"].encode(errors="replace")
        if len(kept) == MOST_LINES or (kept and len(message) > room):
            break
        text = message[-room:].decode(errors="ignore")
        kept.append({**event, "message": text})
        room -= len(message)
    return kept[::-1]
