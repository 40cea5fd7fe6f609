"""Listener rules: refused calls, and the URL's response while a rule exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.site import NAME, SURELY_ACTIVE, SURELY_RUNNING, Site, code_of

ANSWER = {"StatusCode": "503", "ContentType": "application/json", "MessageBody": '{"a": 1}'}


@pytest.fixture
def site(account: Account) -> Site:
    """A service that serves."""
    made = Site(account).make()
    made.create_service()
    made.pass_time(SURELY_ACTIVE + SURELY_RUNNING)
    assert account.answers(NAME)
    return made


def create(site: Site, priority: int = 1, listener: str = "", **answer: str) -> str:
    """Create a rule with a fixed response for every path, and return its ARN."""
    made = site.client("elbv2").create_rule(
        ListenerArn=listener or site.listener,
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {**ANSWER, **answer}}],
    )
    return str(made["Rules"][0]["RuleArn"])


def test_a_rule_responds_instead_of_the_targets(account: Account, site: Site) -> None:
    rule = create(site)
    answers = account.answers(NAME)
    assert not answers
    assert answers.up and answers.fixed == ANSWER

    changed = {**ANSWER, "StatusCode": "500"}
    site.client("elbv2").modify_rule(
        RuleArn=rule, Actions=[{"Type": "fixed-response", "FixedResponseConfig": changed}]
    )
    assert account.answers(NAME).fixed == changed

    site.client("elbv2").delete_rule(RuleArn=rule)
    assert account.answers(NAME)


def test_the_target_group_stays_in_use(account: Account, site: Site) -> None:
    create(site)
    site.update(desiredCount=0)
    site.pass_time(SURELY_RUNNING)
    assert site.tasks() == []
    site.update(desiredCount=1)
    site.pass_time(SURELY_RUNNING)

    assert [health["State"] for health in site.health()] == ["healthy"]
    assert account.answers(NAME).fixed


def test_a_rule_is_deleted_with_its_listener(account: Account, site: Site) -> None:
    create(site)
    site.client("elbv2").delete_listener(ListenerArn=site.listener)

    assert account.answers(NAME).fixed is None


REFUSED: dict[str, tuple[Callable[[Site], Any], str]] = {
    "a rule of no listener": (
        lambda site: create(site, listener=f"{site.listener}0"),
        "ListenerNotFound",
    ),
    "a place that is taken": (lambda site: [create(site), create(site)], "PriorityInUse"),
    "a longer answer": (lambda site: create(site, MessageBody="a" * 1025), "ValidationError"),
    "another type": (
        lambda site: create(site, ContentType="application/problem+json"),
        "ValidationError",
    ),
    "a change of what is not there": (
        lambda site: site.client("elbv2").modify_rule(RuleArn=no_rule(site), Actions=[]),
        "RuleNotFound",
    ),
    "a delete of what is not there": (
        lambda site: site.client("elbv2").delete_rule(RuleArn=no_rule(site)),
        "RuleNotFound",
    ),
}


def no_rule(site: Site) -> str:
    return site.listener.replace(":listener/", ":listener-rule/") + "/0123456789abcdef"


@pytest.mark.parametrize("what", REFUSED)
def test_an_invalid_rule_is_refused(site: Site, what: str) -> None:
    do, code = REFUSED[what]
    with pytest.raises(ClientError) as error:
        do(site)

    assert code_of(error) == code
