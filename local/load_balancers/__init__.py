"""The local stack's application load balancers, which behave as AWS documents.

`service` is the entry. The way of a request: `server` finds the load balancer, the node and the
listener; `routing` and `conditions` find the rule; `choosing`, `selection` and `stickiness` find
the target; `transforms` and `headers` prepare the request; `forwarding` sends it. `reading` fills
`configuration`; `targets`, `health` and `checks` know which targets are healthy.
"""

from local.load_balancers.service import LoadBalancers

__all__ = ["LoadBalancers"]
