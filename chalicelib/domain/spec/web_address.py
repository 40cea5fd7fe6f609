"""The form of a URL that receives events.

`usecases/callback_url.py` resolves its host and checks that the address is public.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 2048
# The part of RFC 3986 that every parser reads in the same way: no user or password, no fragment,
# no escapes in the host, no zone ID in an address.
HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
PATH = r"[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*"
URL = re.compile(rf"https://({HOST})(:[0-9]{{1,5}})?({PATH})?", re.ASCII)
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]*", re.ASCII)


def fault(url: str, *, http: bool = False) -> str | None:
    """The fault in the form of a URL with its fix, or None. `http` also allows http://.

    The text never contains the URL, because a URL can contain a password or a token.
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    faults = {
        f"must have at most {MOST_CHARACTERS} characters, not {len(url)}": len(url)
        > MOST_CHARACTERS,
        "must have only ASCII letters, digits and the punctuation of RFC 3986. Write an "
        "international host name as xn--..., and escape other characters (%20)": (
            not _CHARACTERS.fullmatch(url)
        ),
        "must start with https://": scheme != "https" and not (http and scheme == "http"),
        "must not contain a user or password: the signature proves the sender": "@" in authority,
        "must not contain a fragment: remove the # and everything after it": "#" in url,
    }
    for text, applies in faults.items():
        if applies:
            return text
    port = re.search(r":([0-9]+)$", authority)
    is_port = port is None or 1 <= int(port[1]) <= 65535
    if not is_port or not URL.fullmatch(f"https://{rest}"):
        return "must be a URL with a valid host name and port, such as https://example.com/hooks"
    return None
