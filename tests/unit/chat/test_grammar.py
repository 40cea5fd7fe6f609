"""Typed lines and their commands; mistyped lines and their hints."""

import json
import re
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.chat import options
from chalicelib.chat.grammar import Command, Misunderstanding, help_text, parse
from chalicelib.chat.verbs import BY_SYNONYM, VERBS
from chalicelib.domain.naming import NAME_PATTERN
from chalicelib.domain.spec import parsing
from chalicelib.domain.spec import spec as specs
from tests.support.builders import LIMITS, REGISTRY, TASK_ROLE

IMAGE = f"{REGISTRY}/recommend:1"


def deploy(image: str = IMAGE, **body: Any) -> Command:
    return Command("deploy", None, {"name": "recommend", "image": image, **body})


UNDERSTOOD = [
    # --- every command
    (f"deploy {IMAGE}", deploy()),
    (f"deploy {IMAGE} name=rec port=8080 ttl=8h", deploy(name="rec", port=8080, ttl="8h")),
    ("update rec count=2", Command("update", "rec", {"count": 2})),
    (f"update rec image={IMAGE}", Command("update", "rec", {"image": IMAGE})),
    ("status", Command("status")),
    ("status rec", Command("status", "rec")),
    ("list", Command("list")),
    ("scale rec 3", Command("scale", "rec", {"count": 3})),
    ("pause rec", Command("pause", "rec")),
    ("resume rec", Command("resume", "rec")),
    ("rollback rec", Command("rollback", "rec")),
    ("retry rec", Command("retry", "rec")),
    ("extend rec 8h", Command("extend", "rec", {"ttl": "8h"})),
    ("logs rec", Command("logs", "rec")),
    ("delete rec", Command("delete", "rec")),
    ("delete rec-abc234", Command("delete", "rec-abc234")),
    ("help", Command("help")),
    ("help scale", Command("help", "scale")),
    ("help SCALE", Command("help", "scale")),
    # --- how it is typed
    ("", Command("help")),
    ("  \n ", Command("help")),
    ("/slipway", Command("help")),
    ("/slipway status rec", Command("status", "rec")),
    ("slipway status rec", Command("status", "rec")),
    ("<@U024BE7LH|slipway> status rec", Command("status", "rec")),
    ("STATUS rec", Command("status", "rec")),
    ("Status Rec", Command("status", "rec")),
    ("  scale\trec \n  3 ", Command("scale", "rec", {"count": 3})),
    ("scale\u00a0rec\u20093", Command("scale", "rec", {"count": 3})),
    ("status re\u200bc\ufeff", Command("status", "rec")),
    ("`status rec`", Command("status", "rec")),
    ("```scale rec 3```", Command("scale", "rec", {"count": 3})),
    ("scale `rec` `3`", Command("scale", "rec", {"count": 3})),
    (f"deploy `{IMAGE}` count=2", deploy(count=2)),
    (f"deploy `<http://{IMAGE}|{IMAGE}>` count=2", deploy(count=2)),
    (f"update rec image=`{IMAGE}`", Command("update", "rec", {"image": IMAGE})),
    (f"deploy port=80 {IMAGE} ttl=1d", deploy(port=80, ttl="1d")),
    ("status #1", Command("status", "#1")),
    ("scale 'rec' \"3\"", Command("scale", "rec", {"count": 3})),
    # --- options
    (f"deploy {IMAGE} health_check.path=/health", deploy(health_check={"path": "/health"})),
    (f"deploy {IMAGE} smoke_test.path=/?uid=20", deploy(smoke_test={"path": "/?uid=20"})),
    (
        f"deploy {IMAGE} smoke_test.status=201 smoke_test.json_has=items,scores",
        deploy(smoke_test={"status": 201, "json_has": ["items", "scores"]}),
    ),
    (
        f"deploy {IMAGE} environment.MODE=x environment.Level=2",
        deploy(environment={"MODE": "x", "Level": "2"}),
    ),
    (f"deploy {IMAGE} environment.EMPTY=", deploy(environment={"EMPTY": ""})),
    (f"deploy {IMAGE} environment.NONE=none", deploy(environment={"NONE": "none"})),
    (f"deploy {IMAGE} environment.A=b=c", deploy(environment={"A": "b=c"})),
    (
        f"deploy {IMAGE} tags.team=a tags.cost.centre=7",
        deploy(tags={"team": "a", "cost.centre": "7"}),
    ),
    (f"deploy {IMAGE} scaling.min=1 scaling.max=3", deploy(scaling={"min": 1, "max": 3})),
    (f"deploy {IMAGE} command=python,-m,app", deploy(command=["python", "-m", "app"])),
    (f"deploy {IMAGE} 'command=python, -m'", deploy(command=["python", "-m"])),
    (f"deploy {IMAGE} on_failure=keep", deploy(on_failure="keep")),
    (f"deploy {IMAGE} architecture=ARM64 memory=1024", deploy(architecture="ARM64", memory=1024)),
    (f"deploy {IMAGE} health_check.status=200", deploy(health_check={"status": "200"})),
    ("update rec ttl=none domain=NONE", Command("update", "rec", {"ttl": None, "domain": None})),
    ("update rec scaling=none count=2", Command("update", "rec", {"scaling": None, "count": 2})),
    ("update rec name=other", Command("update", "rec", {"name": "other"})),
    # --- quotes
    (f"deploy {IMAGE} environment.A='a b'", deploy(environment={"A": "a b"})),
    (f'deploy {IMAGE} environment.A="a  b"', deploy(environment={"A": "a  b"})),
    (f'deploy {IMAGE} "environment.A=a b"', deploy(environment={"A": "a b"})),
    (f"deploy {IMAGE} environment.A=“a b”", deploy(environment={"A": "a b"})),
    (f"deploy {IMAGE} environment.A=\u2018a b\u2019", deploy(environment={"A": "a b"})),
    (f"deploy {IMAGE} environment.A=„a b“", deploy(environment={"A": "a b"})),
    (f'deploy {IMAGE} environment.A="don\u2019t"', deploy(environment={"A": "don't"})),
    (rf"deploy {IMAGE} environment.A=a\ b", deploy(environment={"A": "a b"})),
    # --- text that Slack has changed
    (f"deploy <http://{IMAGE}|{IMAGE}>", deploy()),
    (f"deploy https://{IMAGE}", deploy()),
    (f"deploy <https://{IMAGE}>", deploy()),
    (
        f"deploy {IMAGE} smoke_test.path=/?a=1&amp;b=&lt;2&gt;",
        deploy(smoke_test={"path": "/?a=1&b=<2>"}),
    ),
    (f"deploy {IMAGE} environment.A=&amp;lt;", deploy(environment={"A": "&lt;"})),
    (
        f"deploy {IMAGE} callback_url=<https://hooks.example.com/a?b=1&amp;c=2>",
        deploy(callback_url="https://hooks.example.com/a?b=1&c=2"),
    ),
    (
        f"deploy {IMAGE} domain=<http://rec.example.com|rec.example.com>",
        deploy(domain="rec.example.com"),
    ),
    (
        f"deploy {IMAGE} callback_url=<https://hooks.example.com|click here>",
        deploy(callback_url="https://hooks.example.com"),
    ),
    (
        f"deploy {IMAGE} tags.by=<mailto:a@b.example|a@b.example>",
        deploy(tags={"by": "a@b.example"}),
    ),
    (f"deploy {IMAGE} tags.by=<@U024BE7LH|ann>", deploy(tags={"by": "@ann"})),
]


@pytest.mark.parametrize(("text", "command"), UNDERSTOOD, ids=[text for text, _ in UNDERSTOOD])
def test_a_valid_line_is_parsed(text: str, command: Command) -> None:
    assert parse(text) == command


def test_a_whole_spec_can_be_typed() -> None:
    """Each field has a value of its type, and the API accepts the body."""
    typed = (
        f"deploy {IMAGE} name=rec port=80 cpu=512 memory=1024 architecture=ARM64 scaling.min=1 "
        "scaling.max=3 scaling.metric=cpu scaling.target=60 command=a,b environment.MODE=x "
        "not_secret=MODE "
        f"secrets.KEY=arn:aws:ssm:us-east-1:123456789012:parameter/slipway/hub "
        "health_check.path=/h health_check.status=200,204 health_check.interval=10 "
        "health_check.timeout=5 health_check.grace=30 smoke_test.path=/p smoke_test.status=200 "
        "smoke_test.json_has=items smoke_test.max_latency_ms=500 load_balancer=dedicated "
        "ingress_cidrs=203.0.113.0/24 domain=rec.example.com ttl=8h on_failure=keep tags.team=a "
        f"storage_gib=40 task_role_arn={TASK_ROLE} request_timeout=120 "
        "certificate_arn=arn:aws:acm:us-east-1:123456789012:certificate/0123-abcd"
    )
    command = parse(typed)
    assert isinstance(command, Command), command
    spec = parsing.parse(command.body, **LIMITS)
    assert set(spec.model_fields_set) == set(specs.Spec.model_fields) - {
        "count",
        "callback_url",
    } | {
        "count"  # which `scaling` replaces
    }


NAMES = {
    f"{REGISTRY}/recommend": "recommend",
    f"{REGISTRY}/team/Recommend_v2:1": "recommend-v2",
    f"{REGISTRY}/a/b/c@sha256:{'0' * 64}": "c",
    "localhost:5000/recommend": "recommend",
    "recommend:1": "recommend",
    f"{REGISTRY}/2048:1": "app-2048",
    f"{REGISTRY}/internal:1": "app-internal",
    f"{REGISTRY}/internal-model": "app-internal-model",
    f"{REGISTRY}/{'a' * 23}-b": "a" * 23,
    f"{REGISTRY}/-_-": "app",
    "https://": "app",
}


@pytest.mark.parametrize(("image", "name"), NAMES.items())
def test_the_name_comes_from_the_repository(image: str, name: str) -> None:
    command = parse(f"deploy {image}")
    assert isinstance(command, Command) and command.body
    assert command.body["name"] == name
    assert re.fullmatch(NAME_PATTERN, name)


BODY_HINT = "update rec 'smoke_test.body={\"uid\":20}'"
MISTYPED = [
    # --- the command
    ("scal rec 3", "no command `scal`", "scale rec 3"),
    ("stauts rec", "no command `stauts`", "status rec"),
    ("stat", "no command `stat`", "status"),
    ("deply r.io/x:1 port=80", "no command `deply`", "deploy r.io/x:1 port=80"),
    ("DELTE rec", "no command `DELTE`", "delete rec"),
    ("rm rec", "no command `rm`", "delete rec"),
    ("undeploy rec", "no command `undeploy`", "delete rec"),
    ("ls", "no command `ls`", "list"),
    ("stop rec", "no command `stop`", "pause rec"),
    ("start rec", "no command `start`", "resume rec"),
    ("undo rec", "no command `undo`", "rollback rec"),
    ("log rec", "no command `log`", "logs rec"),
    ("roll-back rec", "no command `roll-back`", "rollback rec"),
    ("halp", "no command `halp`", "help"),
    ("please delete rec", "no command `please`", "delete rec"),
    ("xyzzy", "no command `xyzzy`", "help"),
    ("'' rec", "no command `''`", "help"),
    ("12345 rec", "no command `12345`", "help"),
    ("🚀", "no command `🚀`", "help"),
    ("`rec` `x`", "no command `rec`", "help"),
    # --- missing and surplus
    ("deploy", "`deploy` needs <image>.", f"deploy {VERBS['deploy'].arguments[0].example}"),
    ("deploy image=r.io/x:1", "`deploy` needs <image>.", "deploy r.io/x:1"),
    ("scale", "`scale` needs <name>.", "scale recommender 3"),
    ("scale rec", "`scale` needs <n>. Usage: `scale <name> <n>`.", "scale rec 3"),
    ("scale rec count=5", "`scale` does not take `count=5`.", "scale rec 5"),
    ("scale rec 3 now", "`scale` does not take `now`.", "scale rec 3"),
    ("scale Rec 0", "Scaling to 0 would leave an ACTIVE deployment with no tasks.", "pause rec"),
    ("extend rec", "`extend` needs <duration>.", "extend rec 8h"),
    ("extend rec ttl=3d", "`extend` does not take `ttl=3d`.", "extend rec 3d"),
    ("pause", "`pause` needs <name>.", "pause recommender"),
    ("pause rec now", "`pause` does not take `now`.", "pause rec"),
    ("delete", "`delete` needs <name>.", "delete recommender"),
    ("delete rec --force", "`delete` does not take `--force`.", "delete rec"),
    ("status my model", "`status` does not take `model`.", "status my"),
    ("list all", "`list` does not take `all`.", "list"),
    ("logs", "`logs` needs <name>.", "logs recommender"),
    ("update", "`update` needs <name>.", "update recommender count=2"),
    ("update rec", "`update` needs an option to change.", "update rec count=2"),
    ("deploy r.io/x:1 rec", "`deploy` does not take `rec`.", "deploy r.io/x:1 name=rec"),
    ("deploy r.io/x:1 as rec", "`deploy` does not take `as`.", "deploy r.io/x:1 name=rec"),
    ("deploy r.io/x:1 name rec", "`deploy` does not take `name`.", "deploy r.io/x:1 name=rec"),
    ("deploy r.io/x:1 port", "`deploy` does not take `port`.", "deploy r.io/x:1 port=80"),
    ("update rec tags.a", "`update` does not take `tags.a`.", "update rec tags.a=value"),
    ("update rec count=1 port", "`update` does not take `port`.", "update rec count=1 port=80"),
    ("update rec tags.a tags.a=1", "`update` does not take `tags.a`.", "update rec tags.a=1"),
    ("redeploy rec", "no command `redeploy`", f"update rec image={REGISTRY}/recommend:2"),
    ("redeploy rec port=81", "no command `redeploy`", "update rec port=81"),
    ("url rec", "no command `url`", "status rec"),
    ("cost", "no command `cost`", "status"),
    ("quota", "To see all commands", "help"),
    ("deploy r.io/x:1 image=r.io/y:2", "no option `image`", "deploy r.io/x:1"),
    # --- a value
    ("scale rec many", "<n> must be a whole number of tasks, not `many`", "scale rec 3"),
    ("scale 3 rec", "<n> must be a whole number of tasks, not `rec`", "scale rec 3"),
    ("scale rec -1", "not `-1`", "scale rec 3"),
    ("scale rec 3.5", "not `3.5`", "scale rec 3"),
    ("scale rec ٣", "not `٣`", "scale rec 3"),
    ("extend rec 2w", "must be a duration from 10m to 365d", "extend rec 8h"),
    ("extend 8h rec", "must be a duration", "extend rec 8h"),
    (
        "deploy r.io/x:1 port=abc",
        "`port` must be a whole number, not `abc`",
        "deploy r.io/x:1 port=80",
    ),
    ("deploy r.io/x:1 port=", "`port` has no value", "deploy r.io/x:1 port=80"),
    ("deploy r.io/x:1 ttl=", "`ttl` has no value", "deploy r.io/x:1 ttl=8h"),
    (
        "update rec scaling=3",
        "Set the parts of `scaling` one by one: scaling.min=… scaling.max=…",
        "update rec scaling.min=3",
    ),
    (
        "update rec environment=A",
        "Set the parts of `environment` one by one: environment.KEY=…",
        "update rec count=2",
    ),
    (
        "update rec smoke_test.body='[1, NaN]'",
        "must be JSON in single quotes, not `[1, NaN]`. The fault: NaN is not a JSON value",
        BODY_HINT,
    ),
    ("update rec smoke_test.body=1e999", "the number 1e999 is too large", BODY_HINT),
    ('update rec smoke_test.body=\'{"a":1,"a":2}\'', "duplicate key `a` in an object", BODY_HINT),
    ("update rec smoke_test.body='\"\\ud800\"'", "half of a surrogate pair", BODY_HINT),
    ("help scael", "must be a command, not `scael`", "help scale"),
    ("help xyzzy", "must be a command, not `xyzzy`", "help"),
    # --- an option
    ("deploy r.io/x:1 prot=81", "no option `prot`", "deploy r.io/x:1 port=81"),
    ("deploy r.io/x:1 --port=81", "no option `--port`", "deploy r.io/x:1 port=81"),
    ("deploy r.io/x:1 env.MODE=x", "no option `env.MODE`", "deploy r.io/x:1 environment.MODE=x"),
    ("deploy r.io/x:1 path=/h", "no option `path`", "deploy r.io/x:1 health_check.path=/h"),
    ("deploy r.io/x:1 healthcheck.path=/h", "no option", "deploy r.io/x:1 health_check.path=/h"),
    ("deploy r.io/x:1 health_check.pth=/h", "no option", "deploy r.io/x:1 health_check.path=/h"),
    ("update rec max=5", "no option `max`", "update rec scaling.max=5"),
    ("update rec gpu=1", "no option `gpu`. Fargate has no GPUs.", "update rec count=2"),
    ("update rec cpus=2", "no option `cpus`. Use `cpu`, in CPU units", "update rec count=2"),
    ("update rec replicas=3", "no option `replicas`. Use `count`", "update rec count=3"),
    ("update rec tags.=5", "no option `tags.`", "update rec count=2"),
    ("update rec =5", "no option", "update rec count=2"),
    ("update rec zzzzzz=5", "no option `zzzzzz`", "update rec count=2"),
    ("update rec count=1 count=2", "`count` is given twice", "update rec count=1"),
    ("update rec tags.a=1 tags.a=2", "`tags.a` is given twice", "update rec tags.a=1"),
    (
        "update rec scaling=none scaling.max=3",
        "`scaling` is given twice",
        "update rec scaling=none",
    ),
    (
        "update rec scaling.max=3 scaling=none",
        "`scaling` is given twice",
        "update rec scaling.max=3",
    ),
    # --- quotes
    ("update rec tags.a='b", "A quote is not closed", "update rec tags.a=b"),
    ("update rec tags.a=don\u2019t", "A quote is not closed", "update rec tags.a=dont"),
    ("update rec tags.a=b\\", "A quote is not closed", "update rec tags.a=b"),
    ("'", "A quote is not closed", "help"),
    # --- what a hint does not repeat
    ("update rec tags.a=1 tags.b=<x> prot=1", "no option `prot`", "update rec tags.a=1 port=1"),
    (f"update rec prot=1 tags.a={'x' * 300}", "no option `prot`", "update rec port=1"),
]


# Lines in the syntax of other tools. The hint has everything that was typed.
LOOSE = [
    ("scale rec --count 2", "scale rec 2"),
    ("scale rec --count=2", "scale rec 2"),
    ("scale rec \u2014count 2", "scale rec 2"),
    ("scale rec \u2013count=2", "scale rec 2"),
    ("scale rec count: 2", "scale rec 2"),
    ("scale rec count:2", "scale rec 2"),
    ("scale rec count\uff1a2", "scale rec 2"),
    ("scale rec count = 2", "scale rec 2"),
    ("scale rec count =2", "scale rec 2"),
    ("scale rec count 2", "scale rec 2"),
    ("scale rec to 2", "scale rec 2"),
    ("scale rec 2.", "scale rec 2"),
    ("scale --name rec --count 2", "scale rec 2"),
    ("scal rec --count 2", "scale rec 2"),
    ("deply `r.io/x:1` count: 2", "deploy r.io/x:1 count=2"),
    ("deploy r.io/x:1 --name rec --port 8080", "deploy r.io/x:1 name=rec port=8080"),
    ("deploy r.io/x:1 --env MODE=x -e B=c", "deploy r.io/x:1 environment.MODE=x environment.B=c"),
    ("deploy image: r.io/x:1 count: 2", "deploy r.io/x:1 count=2"),
    ("deploy --image r.io/x:1 --count 2", "deploy r.io/x:1 count=2"),
    ("deploy r.io/x:1 count=2,", "deploy r.io/x:1 count=2"),
    ("deploy r.io/x:1 with count 2", "deploy r.io/x:1 count=2"),
    ("deploy r.io/x:1 ttl: none", "deploy r.io/x:1 ttl=none"),
    ("update rec Count: 2", "update rec count=2"),
    ("update rec image: `r.io/x:2`", "update rec image=r.io/x:2"),
    ("update rec --health-check.path /h", "update rec health_check.path=/h"),
    ("update rec count=2 cpu: 512 memory : 1024", "update rec count=2 cpu=512 memory=1024"),
    ("update rec tags.team: a", "update rec tags.team=a"),
    ("extend rec --ttl 8h", "extend rec 8h"),
    ("extend rec 8h.", "extend rec 8h"),
    ("pause name: rec", "pause rec"),
    ("update rec count=0", "pause rec"),
    ("update rec count: 0", "pause rec"),
    ("update rec --count 0", "pause rec"),
    ("scale rec --count 0", "pause rec"),
    ("scale rec count: 0", "pause rec"),
    ("scale rec count=0", "pause rec"),
    ("update rec --env=MODE=x", "update rec environment.MODE=x"),
    ("update rec env=MODE=x", "update rec environment.MODE=x"),
    ("deploy r.io/x:1 replicas: 3", "deploy r.io/x:1 count=3"),
    ("deploy r.io/x:1 --replicas=3", "deploy r.io/x:1 count=3"),
    ("update rec instances 3", "update rec count=3"),
    ("update rec --desired-count 3", "update rec count=3"),
]


@pytest.mark.parametrize(("text", "hint"), LOOSE, ids=[text for text, _ in LOOSE])
def test_a_hint_keeps_options_in_the_syntax_of_other_tools(text: str, hint: str) -> None:
    found = parse(text)
    assert isinstance(found, Misunderstanding), found
    assert "Did you mean" in found.text
    assert "Left out" not in found.text
    assert suggested_command(found) == hint
    assert isinstance(parse(hint), Command)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("logs rec --lines 50", "`50`"),
        ("logs rec since=15m task=abc", "`task=abc`"),
        ("scale rec model 2", "`model`"),
        ("deploy r.io/x:1 prot=1 cpu=many", "`cpu=many`"),
        ("deploy r.io/x:1 zzz=5 yyy=6", "`yyy=6`"),
        ("update rec prot=1 tags.b=<x>", "`tags.b=<x>`"),
        ("status rec a b c d e f", "`b`, `c`, `d` and 2 more"),
        ("deploy r.io/x:1 count=0", "`count=0`"),
    ],
)
def test_a_hint_names_what_it_leaves_out(text: str, left: str) -> None:
    found = parse(text)
    assert isinstance(found, Misunderstanding)
    assert f"\nLeft out: {left}.\n" in found.text


def suggested_command(found: Misunderstanding) -> str:
    """The command that a hint suggests, at its end."""
    last = re.search(r"`([^`]*)`\??$", found.text)
    assert last, found.text
    return last[1]


@pytest.mark.parametrize(
    ("text", "fault", "hint"), MISTYPED, ids=[text[:60] for text, *_ in MISTYPED]
)
def test_a_mistyped_line_gets_a_hint(text: str, fault: str, hint: str) -> None:
    found = parse(text)
    assert isinstance(found, Misunderstanding), found
    assert fault in found.text
    assert suggested_command(found) == hint
    assert isinstance(parse(hint), Command)


def test_a_hint_with_invented_words_is_an_example() -> None:
    typed = parse("scal rec 3")
    assert isinstance(typed, Misunderstanding) and "Did you mean" in typed.text
    for line in ("scale rec", "update rec port=abc", "update rec prot=many cpu=512"):
        made_up = parse(line)
        assert isinstance(made_up, Misunderstanding) and "For example" in made_up.text


@pytest.mark.parametrize("text", [text for text, *_ in MISTYPED], ids=lambda text: text[:60])
def test_the_prefix_is_before_the_hints_command(text: str) -> None:
    bare, prefixed = parse(text), parse(text, "/slipway ")
    assert isinstance(bare, Misunderstanding) and isinstance(prefixed, Misunderstanding)
    assert suggested_command(prefixed) == f"/slipway {suggested_command(bare)}"
    assert isinstance(parse(suggested_command(prefixed)), Command)


def test_the_prefix_is_before_usage_and_help() -> None:
    found = parse("scale rec", "/slipway ")
    assert isinstance(found, Misunderstanding)
    assert "`scale` needs <n>. Usage: `/slipway scale <name> <n>`." in found.text
    for each in help_text(prefix="/slipway ").splitlines():
        assert each.startswith("`/slipway ")
    assert "For example: `/slipway scale recommender 3`" in help_text("scale", "/slipway ")


def test_a_long_line_is_refused_immediately() -> None:
    found = parse("status " + "x" * 4000)
    assert (
        isinstance(found, Misunderstanding)
        and "must have at most 4000 characters, not 4007" in found.text
    )
    assert isinstance(parse("status " + "x" * 3993), Command)


def test_a_hint_is_short_for_a_line_of_any_length() -> None:
    fields = " ".join(f"tags.{key}={'x' * 100}" for key in "abcdefghijklmnopqrstuvwxyz")
    found = parse(f"update rec {fields} prot=1")
    assert isinstance(found, Misunderstanding)
    assert len(found.text) < 1000
    assert isinstance(parse(suggested_command(found)), Command)


PIECES = [
    "=",
    "x",
    "3",
    "8h",
    "'",
    '"',
    "`",
    "\\",
    "<",
    "|",
    ">",
    "&",
    " ",
    "\n",
    ".",
    "\ud800",
    "\x00",
    "“",
]
NAMED = ["slipway", "rec", IMAGE, "none", "environment."]
WORDS = st.sampled_from([*VERBS, *BY_SYNONYM, *options.table(), *PIECES, *NAMED])
LINES = (
    st.text() | st.lists(WORDS | st.text(max_size=5)).map(" ".join) | st.lists(WORDS).map("".join)
)


@settings(deadline=None)
@given(LINES)
def test_any_text_is_a_command_or_a_hint_to_a_valid_one(text: str) -> None:
    found = parse(text)
    if isinstance(found, Misunderstanding):
        assert isinstance(parse(suggested_command(found)), Command)
        found.text.encode()
        assert len(found.text) < 3000
    else:
        assert found.verb in VERBS
        json.dumps(found.body)


@settings(deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.text(max_size=20), max_size=3)
)
def test_a_quoted_value_is_kept_unchanged(values: dict[str, str]) -> None:
    """Quoted as in a shell, without the characters that chat programs change."""
    made = str.maketrans("", "", "<>&`\u200b\ufeff\u2018\u2019\u201a\u201c\u201d\u201e")
    wanted = {key: value.translate(made) for key, value in values.items()}
    quoted = [shlex.quote(f"environment.{key}={value}") for key, value in wanted.items()]
    command = parse(" ".join(["update rec count=1", *quoted, "port=1"]))
    assert isinstance(command, Command) and command.body
    assert command.body.get("environment", {}) == wanted


# --- the table and its help ------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_each_example_is_valid(verb: Any) -> None:
    command = parse(verb.example)
    assert isinstance(command, Command)
    assert command.verb == verb.name


def test_no_synonym_is_a_command() -> None:
    assert not set(BY_SYNONYM) & set(VERBS)


def test_help_names_every_command() -> None:
    lines = help_text().splitlines()
    assert [line.split()[0].strip("`") for line in lines] == list(VERBS)


def test_help_for_a_command_shows_its_example_and_its_options() -> None:
    assert help_text("scale").splitlines()[1:] == ["For example: `scale recommender 3`"]
    help = help_text("update")
    for option in ("image=…", "scaling.max=…", "environment.KEY=…", "callback_url=…"):
        assert option in help
    assert " image=…" not in help_text("deploy").split("Options:")[1]


def test_every_field_of_the_spec_is_an_option() -> None:
    heads = {name.split(".")[0] for name in options.table()}
    assert heads == set(specs.Spec.model_fields)
    kinds = {name: option.kind for name, option in options.table().items()}
    assert kinds["port"] == kinds["scaling.max"] == kinds["smoke_test.max_latency_ms"] == "number"
    assert kinds["command"] == kinds["smoke_test.json_has"] == "list"
    assert kinds["environment"] == "map"
    assert kinds["health_check.status"] == kinds["smoke_test.path"] == kinds["on_failure"] == "text"
