"""The workflow as an AWS Step Functions state machine."""
