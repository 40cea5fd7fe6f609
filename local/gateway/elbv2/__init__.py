"""Completes MiniStack's Elastic Load Balancing API (ELBv2).

What MiniStack 1.5.33 does with it, as found by trial:

| part | kept by MiniStack | completed here |
|---|---|---|
| `ForwardConfig` of listeners and rules | no | kept |
| conditions with `QueryStringConfig` or `RegexValues` | no | kept |
| other conditions | yes | shown as AWS shows them |
| `Transforms` | yes, with AWS's errors | |
| attributes of target groups and load balancers | yes, without defaults and limits | both |
| health check settings and matcher | yes, without limits | limits |
| priorities | yes, also duplicate ones | `PriorityInUse`, 1 to 50000 |
| a second listener on a port | accepted | `DuplicateListener` |
| `LoadBalancerArns` of a target group | only those of new listeners | all |
| deletion of a load balancer | keeps its listeners | they are deleted |
| deletion of a target group that is in use | accepted | `ResourceInUse` |
| `&` and `<` in values | broken XML | escaped |
| target health | always healthy | from the load balancers |
"""
