import pytest

from chalicelib.domain.spec import secret_looks
from tests.support.builders import SECRET


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_SECRET_ARN", SECRET),
        ("DB_SECRET_ARN", "any text"),
        ("MAX_TOKEN_LENGTH", "512"),
        ("OAUTH_TOKEN_URL", "https://id.example.com/oauth/token"),
        ("TOKEN_ENDPOINT", "https://id.example.com"),
        ("SECRET_NAME", "prod/db"),
        ("PASSWORD_FILE", "/run/secrets/db"),
        ("PASSWORD_MIN_LENGTH", "8"),
        ("API_KEY_HEADER", "X-Api-Key"),
        ("S3_KEY_PREFIX", "models/"),
        ("KEYBOARD", "de"),
        ("KNOWLEDGE_BASE", "docs"),
        ("MONKEY", "wrench"),
        ("PASSPORT", "x"),
        ("COMPASS", "north"),
        ("BYPASS", "x"),
        ("TOKENIZERS_PARALLELISM", "false"),
        # The name ends like a secret, but the value is none.
        ("MAX_TOKENS", "512"),
        ("USE_TOKEN", "true"),
        ("API_KEY", SECRET),
        ("TOKEN", "https://id.example.com/token"),
        ("DB_PASSWORD", "/run/secrets/db"),
        ("SECRET_KEY", ""),
        ("PUBLIC_KEY", "ssh-ed25519 AAAA"),
        ("SORT_KEY", "created_at"),
        ("JOIN_KEY", "user_id"),
        ("OUTPUT_KEY", "recommendations"),
        ("IDEMPOTENCY_KEY", "order"),
        ("KMS_KEY", "alias/models"),
        ("S3_KEY", "models/v1/model.bin"),
        ("MODEL_KEY", "models/v1.2/model.tar.gz"),
        ("PAD_TOKEN", "[PAD]"),
        ("EXTRA_TOKEN", "<extra>"),
        ("DATABASE_URL", "postgres://db.example.com:5432/app"),
        ("DATABASE_URL", "postgres://reader@db.example.com/app"),
        ("PACKAGE", "sk-learn-contrib-models"),
        ("QUERY", "password reset page"),
        ("FIELDS", '["user", "password"]'),
        ("CONFIG", '{"password": ""}'),
    ],
)
def test_a_variable_that_names_or_holds_no_secret_passes(name: str, value: str) -> None:
    assert secret_looks.reason(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PWD", "hunter2"),
        ("OPENAI_KEY", "abc"),
        ("API_KEY_2", "abc"),
        ("DB_PW", "abc"),
        ("DBPASS", "abc"),
        ("PGPASS", "abc"),
        ("DB_PASSWORD", "models/model.bin"),
        ("API_KEY", "abc.def"),
        ("PASSWORD1", "abc"),
        ("DB_PASSWORD_V2", "abc"),
        ("DB_PASSWORD_PROD", "abc"),
        ("SECRET_KEY_BASE", "abc"),
        ("SECRET_VALUE", "abc"),
        ("dbPassword", "abc"),
        ("apiKey", "abc"),
        ("PGPASSWORD", "abc"),
        ("OPENAIAPIKEY", "abc"),
        ("SECRET", "abc"),
        ("__TOKEN__", "abc"),
        ("SENTRY_DSN", "abc"),
        ("MAX_TOKENS", "a1b2c3"),
        # A password can consist of digits.
        ("DB_PASSWORD", "12345678"),
        # Forty characters of an AWS secret access key, which can start with a slash.
        ("AWS_SECRET_ACCESS_KEY", "/" + "aB3" * 13),
    ],
)
def test_the_end_of_a_name_gives_a_secret_away(name: str, value: str) -> None:
    assert secret_looks.reason(name, value) == secret_looks.BY_NAME


@pytest.mark.parametrize(
    "value",
    [
        "AKIA" + "A" * 16,
        "id=ASIA" + "B2" * 8,
        "ghp_" + "a" * 36,
        "github_pat_" + "a" * 40,
        "glpat-" + "a1" * 10,
        "xoxb-123456789012-abcdef",
        "https://hooks.slack.com/services/T000/B000/XXXX",
        "sk-" + "a1" * 24,
        "sk-proj-" + "aB_-" * 20 + "a" * 20,
        "sk_live_" + "a1" * 12,
        "hf_" + "aB" * 17,
        "AIza" + "a" * 35,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        "-----BEGIN PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl",
        "postgres://app:hush@db.example.com/app",
        "redis://:hush@cache.example.com:6379/0",
        "https://x.blob.core.windows.net/models?sv=1&sig=abcdefgh1234",
        "Server=db;User=app;Password=hush",
        "host=db password=hush",
        '{"user": "app", "password": "hush"}',
        '{"clientSecret":"abc"}',
        "Bearer abcdefgh12345678",
    ],
)
def test_a_credential_is_recognized_whatever_its_name(value: str) -> None:
    assert secret_looks.reason("MODEL_CONFIG", value) == secret_looks.BY_VALUE
