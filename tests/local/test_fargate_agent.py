"""The agent with MiniStack, an ECS service and real task processes."""

import threading

from local import sample
from local.processes import wait_until
from local.task_tags import TAG_HEALTH_CHECK
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
    assert "Essential container in task exited (exit code 137)" in service.stopped_reasons()
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
    assert service.get()[0] == 503


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
    reason = "Essential container in task exited (exit code 3)"
    wait_until(lambda: service.stopped_reasons().count(reason) >= 3, SECONDS)


def test_a_task_with_too_much_memory_is_killed(service: Service) -> None:
    service.wait_for_targets(1)
    greedy = "data = b'x' * (600 << 20); import time; time.sleep(60)"
    greedy_task = service.register_task_definition(command=["python", "-c", greedy])
    service.update(taskDefinition=greedy_task)
    reason = (
        "Essential container in task exited (exit code 137): "
        "OutOfMemoryError: Container killed due to memory usage"
    )
    wait_until(lambda: reason in service.stopped_reasons(), SECONDS)


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


def test_a_task_that_fails_its_health_check_never_serves_and_is_stopped(service: Service) -> None:
    (good,) = service.wait_for_targets(1)
    service.elbv2.modify_target_group(
        TargetGroupArn=service.target_group, Matcher={"HttpCode": "204"}
    )
    service.update(taskDefinition=service.register_task_definition(environment=[]))
    reason = f"Task failed ELB health checks in (target-group {service.target_group})"
    wait_until(lambda: reason in service.stopped_reasons(), SECONDS)
    assert service.targets() == [good]
    assert service.get()[0] == 200
    failed = next(task for task in service.tasks("STOPPED") if task["stoppedReason"] == reason)
    tags = {tag["key"]: tag["value"] for tag in failed["tags"]}
    assert tags[TAG_HEALTH_CHECK] == "200"


def test_a_task_that_listens_on_another_port_is_stopped(service: Service) -> None:
    service.wait_for_targets(1)
    elsewhere = service.register_task_definition(environment=[{"name": "PORT", "value": "8123"}])
    service.update(taskDefinition=elsewhere)
    wait_until(
        lambda: any("failed ELB health checks" in r for r in service.stopped_reasons()), SECONDS
    )


def test_after_deletion_no_target_and_no_process_remains(service: Service) -> None:
    (address,) = service.wait_for_targets(1)
    service.ecs.delete_service(cluster=service.name, service=service.name, force=True)
    service.wait_for_targets(0)
    service.wait_for_process_end(address)
