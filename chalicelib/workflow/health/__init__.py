"""The health of deployments after they became ACTIVE.

`health` decides when to check and what to write; `task_look` sorts the tasks of one look;
`health_reasons` explains why tasks are missing.
"""
