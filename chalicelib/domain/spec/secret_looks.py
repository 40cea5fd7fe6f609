"""Whether an environment variable holds a secret: decided by the end of its name and by its value.

The end of a name says what the value is: `DB_SECRET_ARN` is an ARN, `MAX_TOKEN_LENGTH` a length.
The formats of the credentials are those that their issuers document, and that secret scanners use:
https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns
"""

from __future__ import annotations

import re

# A longer value is refused anyway: all variables together have at most 4 KiB.
MOST_CHARACTERS = 4096
BY_NAME = "by its name"
BY_VALUE = "by its value"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The last word of a name whose value is a secret, also if it is a number.
_PASSWORDS = _words(
    "PASSWORD PASSWORDS PASSWD PASSPHRASE PASSCODE PWD PASS PW SECRET SECRETS CREDENTIAL "
    "CREDENTIALS CREDS DBPASS DBPWD PGPASS USERPASS ROOTPASS SMTPPASS"
)
# The last word of a name whose value can be a harmless number: `MAX_TOKENS`.
_KEYS = _words("TOKEN TOKENS KEY KEYS APIKEY APIKEYS PAT DSN")
# The same words at the end of a longer word, for names such as PGPASSWORD and HFAPIKEY.
_GLUED_PASSWORDS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET")
_GLUED_KEYS = ("APIKEY", "ACCESSKEY", "SECRETKEY", "AUTHTOKEN", "ACCESSTOKEN")
# The word before KEY or TOKEN that makes it no secret: a public key, a key of data, a word of a
# language model's vocabulary.
_HARMLESS_BEFORE = _words(
    "PUBLIC PRIMARY FOREIGN SORT PARTITION HASH RANGE CACHE ROUTING OBJECT INDEX GROUP LABEL "
    "BOS EOS PAD MASK UNK SEP CLS STOP START END SPECIAL"
) | _words("JOIN LOOKUP UNIQUE DEDUP IDEMPOTENCY INPUT OUTPUT TARGET FEATURE NEXT CONTINUATION KMS")
# Words after the end of a name that do not say what its value is: API_KEY_2, DB_PASSWORD_PROD,
# SECRET_KEY_BASE.
_QUALIFIERS = _words(
    "PROD PRODUCTION DEV DEVELOPMENT STAGING STAGE TEST LIVE OLD NEW CURRENT PREVIOUS NEXT BASE "
    "VALUE PLAIN PLAINTEXT BASE64 B64"
)
_NUMBERING = re.compile(r"V?[0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_NUMBER = re.compile(r"[+-]?[0-9]+([.,:][0-9]+)*([eE][+-]?[0-9]+)?", re.ASCII)
_SWITCHES = _words("true false yes no on off none null")
_ARN = re.compile(r"arn:aws[a-z-]*:[^\s:]+:[^\s]*", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+", re.ASCII | re.IGNORECASE)
_PATH = re.compile(r"(~|\.{1,2})?/[\w.@ -]*(/[\w.@ -]*)*", re.ASCII)
# An AWS secret access key can start with a slash.
_AWS_SECRET_KEY = re.compile(r"[A-Za-z0-9/+]{40}", re.ASCII)
# Such as the key of an S3 object. Base64 has no dots.
_FILE = re.compile(r"[\w.-]+(/[\w.-]+)+\.[a-z][a-z0-9]{1,11}", re.ASCII)
_SPECIAL_TOKEN = re.compile(r"<[^<>\s]{1,32}>|\[[A-Z_]{1,32}\]")

_CREDENTIALS = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]*PRIVATE\ KEY                          # PEM: RFC 7468
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                             # AWS access key IDs
    | \bgh[oprsu]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,}       # GitHub
    | \bglpat-[\w-]{16,}                                        # GitLab
    | \bxox[a-z]-[A-Za-z0-9-]{8,} | \bxapp-[A-Za-z0-9-]{8,}     # Slack
    | \bhooks\.slack\.com/(?:services|workflows)/\w+
    | (?<![\w-])sk-[\w-]*\w{16,}                                # OpenAI, Anthropic and others
    | \b[rs]k_(?:live|test)_\w{10,} | \bwhsec_[\w+/=]{16,}      # Stripe, webhooks
    | \bhf_[A-Za-z0-9]{20,}                                     # Hugging Face
    | \bAIza[\w-]{30,} | \bya29\.[\w-]{20,} | \bGOCSPX-[\w-]{20,}   # Google
    | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[\w-]{30,}
    | \bdop_v1_[a-f0-9]{40,} | \bSG\.[\w-]{16,}\.[\w-]{16,} | \bdapi[a-f0-9]{32}
    | \beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*                      # JWT: RFC 7519
    | (?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^\s/?\#@]*:[^\s/?\#@]+@   # a URL with a password
    | [?&](?:sig|X-Amz-Signature|access_token|api_?key|token)=[^&\s]{8,}   # a signed URL
    | ^(?:Bearer|Basic)\ +[\w.~+/=-]{8,}                        # an Authorization header
    """,
    re.VERBOSE | re.ASCII,
)
# Only the words of a connection string can have any case.
_CONNECTION_STRING = re.compile(
    r"(?:^|[;\s?&])(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*[^;&\s]+", re.IGNORECASE
)
# A configuration as JSON.
_JSON_MEMBER = re.compile(
    r'"(?:password|passwd|client_?secret|secret_?access_?key|private_?key|api_?key)"\s*:\s*"[^"]+"',
    re.IGNORECASE,
)


def reason(name: str, value: str) -> str:
    """Why a variable looks like a secret: `BY_NAME` or `BY_VALUE`; empty if it does not."""
    start = value[:MOST_CHARACTERS]
    if any(form.search(start) for form in (_CREDENTIALS, _CONNECTION_STRING, _JSON_MEMBER)):
        return BY_VALUE
    kind = _kind(name)
    if kind and not _is_harmless(value, kind):
        return BY_NAME
    return ""


def _kind(name: str) -> frozenset[str] | None:
    """The set of words to which the end of the name belongs; None for a harmless name."""
    words = [word for word in _CAMEL.sub("_", name).upper().split("_") if word]
    while len(words) > 1 and (_NUMBERING.fullmatch(words[-1]) or words[-1] in _QUALIFIERS):
        words.pop()
    if not words:
        return None
    last = words[-1].rstrip("0123456789")
    if last in _PASSWORDS:
        return _PASSWORDS
    if last in _KEYS:
        is_harmless = len(words) > 1 and words[-2] in _HARMLESS_BEFORE
        return None if is_harmless else _KEYS
    if last.endswith(_GLUED_PASSWORDS):
        return _PASSWORDS
    return _KEYS if last.endswith(_GLUED_KEYS) else None


def _is_harmless(value: str, kind: frozenset[str]) -> bool:
    """Whether a value cannot be a secret, whatever its name says."""
    text = value.strip()
    if not text or text.lower() in _SWITCHES:
        return True
    if _NUMBER.fullmatch(text) or _FILE.fullmatch(text):
        return kind is _KEYS  # a password can consist of digits, or be written like a path
    if _PATH.fullmatch(text):
        return not _AWS_SECRET_KEY.fullmatch(text)
    return any(form.fullmatch(text) for form in (_ARN, _URL, _SPECIAL_TOKEN))
