"""The shape of a URL that events are posted to. Whether its host is public is asked of DNS, which
`usecases/callback_url.py` asks."""

from __future__ import annotations

import re

MOST_CHARACTERS = 2048
# RFC 3986, and of it only what every parser reads in the same way: no user or password, no
# fragment, nothing escaped in the host, no zone of an address.
HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
PATH = r"[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*"
URL = re.compile(rf"https://({HOST})(:[0-9]{{1,5}})?({PATH})?", re.ASCII)
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]*", re.ASCII)


def fault(url: str, *, http: bool = False) -> str | None:
    """What is wrong with the shape of a URL, with the fix, or None; `http` allows that, too."""
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    faults = {
        f"must have at most {MOST_CHARACTERS} characters": len(url) > MOST_CHARACTERS,
        "must be of ASCII letters, digits and the signs of RFC 3986: an international name in its "
        "xn-- form, anything else escaped as %41": not _CHARACTERS.fullmatch(url),
        "must begin with https://": scheme != "https" and not (http and scheme == "http"),
        "must have no user or password in it: the signature says who sends": "@" in authority,
        "must have no fragment: leave out the # and what follows it": "#" in url,
    }
    for told, is_so in faults.items():
        if is_so:
            return told
    port = re.search(r":([0-9]+)$", authority)
    is_port = port is None or 1 <= int(port[1]) <= 65535
    if not is_port or not URL.fullmatch(f"https://{rest}"):
        return "must be a URL such as https://example.com/hooks, with a host's name as DNS has it"
    return None
