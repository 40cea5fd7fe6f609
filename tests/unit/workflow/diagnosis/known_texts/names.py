"""Names for the placeholders of example texts: ordinary ones, and ones that look like a reason."""

from __future__ import annotations

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:sts::123456789012:assumed-role/{}/0a1b2c"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:slipway/{}-AbCdEf"


def named(word: str, program: str, registry: str = ECR) -> dict[str, str]:
    """Every name contains `word`, which must be valid in a repository, role and secret name."""
    return {
        "image": f"{registry}/{word}:{word}",
        "url": f"https://{word}.example.com/v2/{word}/manifests/{word}?token={word}",
        "name": word,
        "role": ROLE.format(word),
        "arn": f"arn:aws:logs:us-east-1:123456789012:log-group:/slipway/{word}:log-stream:x",
        "secret": SECRET.format(word),
        "program": program,
    }


ORDINARY = named("recommend", "serve.py")
HOSTILE = (
    named("denied-claims", "permission denied"),
    named("not-found", "/app/not found: denied"),
    named("timeout-429", "exec format error", "timeout.example.com:5000"),
    named("toomanyrequests", "no such file or directory", "not-found.denied.example.com"),
    named("access-denied-403", "executable file not found in $PATH", "localhost:5000"),
    named("manifest-unknown", "no space left on device"),
    named("no-space-left-on-device", "chdir to cwd (x)", "503.registry.example.com"),
    named("exec-format-error", "is a directory", f"{ECR}/failed-to-register-layer"),
    named("mismatched-image-rootfs", "argument list too long"),
    named("i-o-timeout", "connection refused", "dial-tcp.example.com"),
    named("outofmemoryerror", "OutOfMemoryError: killed"),
    named("capacity-is-unavailable", "CannotPullContainerError: not found"),
    named("limit-on-the-number-of-tasks", "context deadline exceeded"),
    named("account-blocked", "secrets manager"),
)


def filled(text: str, names: dict[str, str]) -> str:
    """`text` with its placeholders replaced."""
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text
