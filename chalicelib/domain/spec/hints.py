"""What to use instead of a field that other tools have and Slipway does not.

People type these names because Compose, Kubernetes, Terraform, ECS and cloud services use them. The
nearest spelling would mislead them: `timeout` is not similar to `request_timeout`.
"""

from __future__ import annotations

import re

# (hint, names). The names are normalized: lowercase, without `_` and `-`.
Row = tuple[str, str]

_TOP: tuple[Row, ...] = (
    (
        "Fargate has no GPUs. Remove this field and use a model that runs on CPUs",
        "gpu gpus accelerator accelerators nvidia",
    ),
    (
        "Use `environment`: a map of names to values",
        "env envs envvars environmentvariables variables envfile envfrom",
    ),
    (
        "Use `count`, or `scaling` with `min` and `max`",
        "replicas instances instancecount desiredcount tasks taskcount numtasks size "
        "scale capacity workers initialcount",
    ),
    (
        "Use `scaling`: {min, max, metric, target}",
        "minreplicas maxreplicas mininstances maxinstances minscale maxscale mincapacity "
        "maxcapacity mincount maxcount mintasks maxtasks min max autoscaling autoscale "
        "targetcpu scalingpolicy concurrency",
    ),
    (
        "Use `health_check`: {path, status, interval, timeout, grace}",
        "healthcheck healthcheckpath healthpath healthcheckurl health readinessprobe "
        "livenessprobe startupprobe readiness liveness probe",
    ),
    (
        "Use `request_timeout` for the seconds that one request may take, or "
        "`health_check.timeout` for a health check",
        "timeout timeouts idletimeout timeoutseconds deadline",
    ),
    (
        "Use `health_check.grace`, in seconds",
        "graceperiod startperiod startuptimeout initialdelay",
    ),
    (
        "Containers have no volumes. Put the files into the image, or read them from S3 "
        "with `task_role_arn`",
        "volumes volume mounts volumemounts mountpoints",
    ),
    (
        "Use `storage_gib`, from 20 to 200",
        "disk disksize storage ephemeralstorage diskgib storagegb",
    ),
    (
        "Use `port`: the one port that the container listens on",
        "ports containerport containerports portmappings expose targetport httpport "
        "serviceport hostport listenport",
    ),
    (
        "Use `cpu`, in CPU units: 1024 units are one vCPU",
        "cpuunits cpus vcpu vcpus cpulimit cores cpucount",
    ),
    (
        "Use `memory`, in MiB",
        "mem memorymib memorymb memorygb memorygib memlimit memorylimit ram memorysize",
    ),
    (
        "Use `cpu` and `memory`",
        "resources limits requests",
    ),
    (
        "Fargate has no instance types. Use `cpu` and `memory`",
        "instancetype machinetype sku tier plan flavor",
    ),
    (
        "Slipway deploys to the region of its stack. Remove this field",
        "region zone availabilityzone location awsregion",
    ),
    (
        "The platform team sets the network (VpcId, SubnetIds). Remove this field",
        "subnets subnetids vpc vpcid securitygroups network networks assignpublicip",
    ),
    (
        "Use `task_role_arn`: a role that the stack's AllowedTaskRoles lists",
        "iamrole role rolearn taskrole serviceaccount",
    ),
    (
        "The stack has one execution role for all tasks. Remove this field",
        "executionrole executionrolearn",
    ),
    (
        "The image's own ENTRYPOINT stays. Use `command`, a list of strings, to replace its CMD",
        "args arguments entrypoint entrypoints cmd run",
    ),
    (
        "Set this in the image (WORKDIR, USER). Remove this field",
        "workingdir workdir user",
    ),
    (
        "Put the tag into `image`, such as .../recommend:2",
        "tag version imagetag",
    ),
    (
        "Slipway builds no images. Build and push the image, then use `image`",
        "build buildargs dockerfile context source",
    ),
    (
        "The container's output goes to CloudWatch Logs. Remove this field",
        "logs logging logdriver logretention loggroup logconfiguration",
    ),
    (
        "Use `image`",
        "imageuri imageurl containerimage repository container",
    ),
    (
        "A deployment has one container. Use `image`, `port` and `command`",
        "containers sidecars initcontainers",
    ),
    (
        "Use `tags`: a map of keys to values",
        "labels annotations metadata",
    ),
    (
        "Use `architecture`: X86_64 or ARM64",
        "platform arch cpuarchitecture runtimeplatform",
    ),
    (
        "Use `secrets`: a map of names to ARNs in Secrets Manager or SSM",
        "secret secretenv envsecrets",
    ),
    (
        "Use `ttl`, such as 8h",
        "expiresin lifetime expiry expiresat timetolive",
    ),
    (
        "Use `callback_url`",
        "webhook webhookurl callback notifyurl",
    ),
    (
        "Use `domain`: one DNS name",
        "host hostname dns domainname domains customdomain",
    ),
    (
        "Use `certificate_arn`: a certificate of AWS Certificate Manager",
        "certificate cert tls ssl https sslcertificate",
    ),
    (
        "Use `ingress_cidrs`: a list of IPv4 ranges",
        "allowedips iprange ingress allowlist whitelist cidrs public internal",
    ),
    (
        "Use `load_balancer`",
        "loadbalancertype alb lb",
    ),
    (
        "The owner comes from the token. Remove this field",
        "owner team namespace project",
    ),
    (
        "Every task runs on Fargate On-Demand. Remove this field",
        "spot capacityprovider launchtype",
    ),
    (
        "ECS always replaces a stopped task. Remove this field",
        "restart restartpolicy restarts",
    ),
    (
        "Use `smoke_test`: one prediction request",
        "test smoke testpath smoketestpath",
    ),
)

_HEALTH_CHECK: tuple[Row, ...] = (
    (
        "The load balancer checks the deployment's own `port`. Remove this field",
        "port containerport",
    ),
    (
        "Use `path`, without host and port",
        "url endpoint uri httppath httpget",
    ),
    (
        "Health checks are HTTP GET requests. Remove this field",
        "protocol scheme method",
    ),
    (
        "The load balancer checks over HTTP. Use `path`",
        "command test cmd exec",
    ),
    (
        "Slipway sets the number of checks. Remove this field, and use `grace` for a slow start",
        "retries threshold thresholds healthythreshold unhealthythreshold "
        "failurethreshold successthreshold healthythresholdcount unhealthythresholdcount",
    ),
    (
        "Use `grace`, in seconds",
        "startperiod initialdelay initialdelayseconds graceperiod delay "
        "healthcheckgraceperiodseconds startupgrace graceseconds",
    ),
    (
        "Use `interval`, in seconds",
        "period periodseconds intervalseconds every frequency",
    ),
    (
        "Use `timeout`, in seconds",
        "timeoutseconds timeoutms",
    ),
    (
        "Use `status`, such as 200 or 200-399",
        "matcher codes statuscode successcodes httpcode expect",
    ),
)

_SMOKE_TEST: tuple[Row, ...] = (
    (
        "Use `path`, without host and port",
        "url endpoint uri",
    ),
    (
        "The smoke test calls the load balancer. Remove this field",
        "port containerport",
    ),
    (
        "Use `max_latency_ms`, in milliseconds",
        "timeout timeoutseconds timeoutms maxlatency latencyms",
    ),
    (
        "Use `status`",
        "statuscode expectedstatus expect code codes",
    ),
    (
        "Use `json_has`: the keys that the JSON response must have",
        "jsonkeys contains keys jsonpath bodyhas",
    ),
    (
        "Use `body`",
        "payload data json requestbody input",
    ),
    (
        "Use `method`",
        "verb httpmethod",
    ),
    (
        "Every create runs the smoke test. Remove this field, and use `status` for what is right",
        "enabled disabled skip",
    ),
)

_SCALING: tuple[Row, ...] = (
    (
        "Use `min`",
        "minreplicas mininstances mincapacity mincount mintasks minimum",
    ),
    (
        "Use `max`",
        "maxreplicas maxinstances maxcapacity maxcount maxtasks maximum",
    ),
    (
        "Use `target`",
        "targetvalue threshold value targetutilization",
    ),
    (
        'Use `"metric": "cpu"` with `target` in percent',
        "targetcpu cpu cpupercent cpuutilization",
    ),
    (
        'Use `"metric": "requests_per_target"` with `target` in requests per task per minute',
        "requests rps concurrency requestspertarget targetrequests",
    ),
    (
        "AWS sets the number of tasks between `min` and `max`. Remove this field",
        "count replicas desired instances",
    ),
    (
        "Slipway sets the cooldowns. Remove this field",
        "cooldown scaleincooldown scaleoutcooldown stabilization",
    ),
    (
        "Use `metric`: requests_per_target or cpu",
        "policy policies type metricname metrics",
    ),
)


def _by_name(rows: tuple[Row, ...]) -> dict[str, str]:
    return {name: hint for hint, names in rows for name in names.split()}


TOP = _by_name(_TOP)
NESTED = {
    "health_check": _by_name(_HEALTH_CHECK),
    "smoke_test": _by_name(_SMOKE_TEST),
    "scaling": _by_name(_SCALING),
}


def hint(name: str, parent: str = "") -> str:
    """What to do about an unknown field of the spec, or of its object `parent`; else empty."""
    normal = re.sub(r"[_\s-]", "", name).lower()
    return NESTED.get(parent, {}).get(normal) or TOP.get(normal, "")
