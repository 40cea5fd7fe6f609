"""Completes MiniStack's ECS answers with what the local Fargate agent reports.

MiniStack shows a new task as RUNNING, and one that was asked to stop as STOPPED, at once, with exit
code 0. The agent reports what the task's process does with SubmitTaskStateChange, as the agents of
ECS do. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SubmitTaskStateChange.html
"""
