"""The settings that the template gives the functions, read from the environment on first use."""

import os
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, field_validator


class Settings(BaseModel):
    """Environment variables of the Lambda functions, set in `infra/template.yaml`.

    Only the functions that start executions have `state_machine_arn`. A step function cannot have
    it, because the state machine refers to the step function: the template would have a cycle.
    """

    model_config = ConfigDict(frozen=True)

    table_name: str
    stack_name: str
    aws_region: str
    state_machine_arn: str = ""
    task_role_arn: str = ""
    execution_role_arn: str = ""
    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    assign_public_ip: bool = True
    allowed_registries: tuple[str, ...] = ()
    allowed_secrets: tuple[str, ...] = ()
    allowed_domains: tuple[str, ...] = ()
    allowed_task_roles: tuple[str, ...] = ()
    load_balancer_url: str = "{scheme}://{dns_name}"
    max_tasks: int = 10
    max_deployments_per_owner: int = 20
    max_tasks_per_owner: int = 50
    max_vcpu_per_owner: float = 32
    log_retention_days: int = 30
    # For the local stack only; the template cannot set them. Callbacks may go to loopback and use
    # http, a fake Slack runs on loopback, and a day of retries takes a moment. `time_scale` is the
    # factor on the waits of AWS.
    callbacks_on_loopback: bool = False
    slack_api_url: str = "https://slack.com/api/"
    retry_time_scale: float = 1
    time_scale: float = 1

    @property
    def load_balancer_zones(self) -> int:
        """How many zones a load balancer has an address in: one per subnet, two by default."""
        return len(self.subnet_ids) or 2

    @field_validator(
        "subnet_ids",
        "allowed_registries",
        "allowed_secrets",
        "allowed_domains",
        "allowed_task_roles",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """CloudFormation passes a list as `a,b`."""
        return (
            tuple(v.strip() for v in value.split(",") if v.strip())
            if isinstance(value, str)
            else value
        )


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process. Raises `pydantic.ValidationError`, which names missing ones."""
    values = {
        name: os.environ[name.upper()]
        for name in Settings.model_fields
        if os.environ.get(name.upper())
    }
    return Settings.model_validate(values)
