"""The agent with MiniStack, an ECS service and real task processes."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from local import sample
from local.emulator import Aws, client
from local.processes import wait_until
from tests.local.service import SECONDS, Service


def test_a_task_responds_through_the_load_balancer_with_its_id(service: Service) -> None:
    service.wait_for_targets(1)
    status, served_by, answer = service.get()
    (task_id,) = service.task_ids()
    assert status == 200
    assert task_id.startswith(served_by)
    assert answer["recommendations"]


def test_the_output_of_a_task_is_in_its_log_stream(service: Service) -> None:
    (task_id,) = service.task_ids()
    wait_until(lambda: any("listening on" in line for line in service.log_lines(task_id)), SECONDS)


def test_a_killed_task_is_reported_to_ecs_and_replaced(service: Service) -> None:
    (address,) = service.wait_for_targets(1)
    (task_id,) = service.task_ids()
    service.kill_process(task_id)
    wait_until(lambda: service.targets() not in ([], [address]), SECONDS)
    assert service.get()[0] == 200
    (stopped,) = service.stopped()
    assert stopped["taskArn"].endswith(task_id)
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert stopped["containers"][0]["exitCode"] == 137
    assert service.task_ids() != [task_id]


def test_a_manually_stopped_task_is_replaced(service: Service) -> None:
    (address,) = service.wait_for_targets(1)
    service.ecs.stop_task(cluster=service.name, task=service.task_ids()[0])
    wait_until(lambda: service.targets() not in ([], [address]), SECONDS)
    assert service.get()[0] == 200


def test_a_rolling_update_drops_no_request(service: Service) -> None:
    (old,) = service.wait_for_targets(1)
    statuses: list[int] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            statuses.append(service.get()[0])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    service.update(taskDefinition=service.register_task_definition(environment=[]), desiredCount=2)
    wait_until(lambda: len(service.targets()) == 2 and old not in service.targets(), SECONDS)
    service.wait_for_process_end(old)
    done.set()
    asking.join()
    assert set(statuses) == {200}


def test_scaling_changes_the_number_of_targets(service: Service) -> None:
    service.wait_for_targets(1)
    service.update(desiredCount=3)
    service.wait_for_targets(3)
    seen: set[str] = set()
    wait_until(lambda: seen.add(service.get()[1]) or len(seen) == 3, SECONDS)
    service.update(desiredCount=0)
    service.wait_for_targets(0)
    wait_until(lambda: service.get()[0] == 503, SECONDS)


def test_an_unknown_image_cannot_be_pulled(service: Service) -> None:
    service.wait_for_targets(1)
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/other:1"
    service.update(taskDefinition=service.register_task_definition(image))
    wait_until(
        lambda: any(r.startswith("CannotPullContainerError") for r in service.stopped_reasons()),
        SECONDS,
    )


def test_a_task_in_a_crash_loop_is_restarted_again_and_again(service: Service) -> None:
    service.wait_for_targets(1)
    crash = service.register_task_definition(command=["python", "-c", "raise SystemExit(3)"])
    service.update(taskDefinition=crash)
    reason = "Essential container in task exited"
    wait_until(lambda: service.stopped_reasons().count(reason) >= 3, SECONDS)
    codes = {task["containers"][0]["exitCode"] for task in service.stopped()}
    assert codes == {3}
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    service.update(deploymentConfiguration=breaker)
    primary, before = service.described()["deployments"]
    assert primary["rolloutState"] == "FAILED"
    assert (before["status"], before["runningCount"]) == ("ACTIVE", 1)
    assert service.get()[0] == 200


def test_a_task_with_too_much_memory_is_killed(service: Service) -> None:
    service.wait_for_targets(1)
    greedy = "data = b'x' * (600 << 20); import time; time.sleep(60)"
    greedy_task = service.register_task_definition(command=["python", "-c", greedy])
    service.update(taskDefinition=greedy_task)
    wait_until(lambda: service.stopped(), SECONDS)
    (stopped,) = service.stopped()[:1]
    assert stopped["stoppedReason"] == "Essential container in task exited"
    (container,) = stopped["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_an_image_for_another_architecture_cannot_be_pulled(service: Service) -> None:
    service.wait_for_targets(1)
    image = f"{sample.IMAGE.rpartition(':')[0]}:arm64"
    service.update(taskDefinition=service.register_task_definition(image))
    platform = "does not contain descriptor matching platform 'linux/amd64'"
    wait_until(lambda: any(platform in r for r in service.stopped_reasons()), SECONDS)


def test_a_missing_secret_is_reported_before_the_task_starts(service: Service) -> None:
    service.wait_for_targets(1)
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:nowhere-AbCdEf"
    secret = {"name": "KEY", "valueFrom": arn}
    service.update(taskDefinition=service.register_task_definition(secrets=[secret]))
    reason_prefix = "ResourceInitializationError: unable to pull secrets"
    wait_until(lambda: any(r.startswith(reason_prefix) for r in service.stopped_reasons()), SECONDS)


def test_a_task_that_fails_its_health_check_gets_no_request_and_is_stopped(
    service: Service,
) -> None:
    service.wait_for_targets(1)
    service.elbv2.modify_target_group(
        TargetGroupArn=service.target_group, HealthCheckPath="/nowhere"
    )
    service.update(taskDefinition=service.register_task_definition(environment=[]))
    unhealthy = {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [404]",
    }
    wait_until(lambda: unhealthy in service.healths().values(), SECONDS)
    reason = f"Task failed ELB health checks in (target-group {service.target_group})"

    def failed_tasks() -> list[dict[str, Any]]:
        return [task for task in service.stopped() if task["stoppedReason"] == reason]

    wait_until(failed_tasks, SECONDS)
    failed = failed_tasks()[0]
    assert failed["stopCode"] == "ServiceSchedulerInitiated"
    assert failed["containers"][0]["exitCode"] == 0  # it ended after SIGTERM
    messages = [event["message"] for event in service.described()["events"]]
    assert any("failed ELB health checks" in message for message in messages)


def test_a_task_that_listens_on_another_port_is_stopped(service: Service) -> None:
    service.wait_for_targets(1)
    elsewhere = service.register_task_definition(environment=[{"name": "PORT", "value": "8123"}])
    service.update(taskDefinition=elsewhere)
    unhealthy = {
        "State": "unhealthy",
        "Reason": "Target.FailedHealthChecks",
        "Description": "Health checks failed",
    }
    wait_until(lambda: unhealthy in service.healths().values(), SECONDS)
    wait_until(
        lambda: any("failed ELB health checks" in r for r in service.stopped_reasons()), SECONDS
    )


def test_a_task_is_pending_until_its_process_runs_and_shows_its_address(service: Service) -> None:
    (address,) = service.wait_for_targets(1)
    (task,) = service.tasks()
    assert task["lastStatus"] == "RUNNING"
    details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
    assert details["privateIPv4Address"] == address
    assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == address
    described = service.described()
    assert (described["runningCount"], described["pendingCount"]) == (1, 0)


def test_a_deleted_service_drains_before_its_process_gets_sigterm(service: Service) -> None:
    (address,) = service.wait_for_targets(1)
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}]
    service.elbv2.modify_target_group_attributes(
        TargetGroupArn=service.target_group, Attributes=delay
    )
    gone = service.ecs.delete_service(cluster=service.name, service=service.name, force=True)
    assert gone["service"]["status"] == "DRAINING"
    wait_until(lambda: service.healths()[address]["State"] == "draining", SECONDS)
    assert service.task_ids() == []
    (task,) = service.tasks("STOPPED")
    assert task["lastStatus"] == "DEACTIVATING"
    assert "exitCode" not in task["containers"][0]
    wait_until(lambda: service.described()["status"] == "INACTIVE", SECONDS)
    assert service.targets() == []
    (task,) = service.stopped()
    assert task["containers"][0]["exitCode"] == 0


def test_the_use_of_cpu_and_memory_is_measured(service: Service, aws: Aws) -> None:
    service.wait_for_targets(1)
    names = {"ClusterName": service.name, "ServiceName": service.name}
    dimensions = [{"Name": name, "Value": value} for name, value in names.items()]
    cloudwatch, now = client("cloudwatch", aws), datetime.now(UTC)

    def average(metric: str) -> list[float]:
        described = {"Namespace": "AWS/ECS", "MetricName": metric, "Dimensions": dimensions}
        stat = {"Metric": described, "Period": 60, "Stat": "Average"}
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "a", "MetricStat": stat}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
        )
        return list(answer["MetricDataResults"][0]["Values"])

    wait_until(lambda: average("MemoryUtilization"), SECONDS)
    assert 0 < average("MemoryUtilization")[0] < 100
    assert average("CPUUtilization")[0] >= 0


def test_after_deletion_no_target_and_no_process_remains(service: Service) -> None:
    (address,) = service.wait_for_targets(1)
    service.ecs.delete_service(cluster=service.name, service=service.name, force=True)
    service.wait_for_targets(0)
    service.wait_for_process_end(address)
