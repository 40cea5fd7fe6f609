"""Why a version does not run or serve, with the code, message, hint and evidence of a failure.

`diagnosis` decides when a service has failed; `health_results` decides when failing health checks
are certain. `stopped_tasks`, `placement` and `unhealthy` give the reason, as a `verdict`, from what
`known_texts` recognizes. `log_evidence` and `redirect` look for the cause behind a reason.
"""
