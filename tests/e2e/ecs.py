"""What a client does that knows AWS Batch on Amazon ECS alone: makes an environment without a word of a cluster, a queue, a definition of one
container, submits, waits, and prints what it saw as JSON. Arguments: a name for all of it, the container's script."""

import json
import sys
import time

import boto3

name, script = sys.argv[1:]
batch = boto3.client("batch")


def wait(what, look, patience=240):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise TimeoutError(what)


def environment():
    return batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]


def queue():
    return batch.describe_job_queues(jobQueues=[name])["jobQueues"][0]


def job(identifier):
    return batch.describe_jobs(jobs=[identifier])["jobs"][0]


def ended(identifier):
    now = job(identifier)
    return now if now["status"] in ("SUCCEEDED", "FAILED") else None


batch.create_compute_environment(
    computeEnvironmentName=name,
    type="MANAGED",
    computeResources={"type": "FARGATE", "maxvCpus": 4, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]},
)
wait("the environment is VALID", lambda: environment()["status"] == "VALID")
batch.create_job_queue(
    jobQueueName=name, priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}]
)
wait("the queue is VALID", lambda: queue()["status"] == "VALID")
definition = batch.register_job_definition(
    jobDefinitionName=name,
    type="container",
    platformCapabilities=["FARGATE"],
    parameters={"word": "nothing"},
    containerProperties={
        "image": "docker.io/library/busybox",
        "command": ["sh", "-c", script, "Ref::word"],
        "jobRoleArn": "arn:aws:iam::123456789012:role/job",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "32"}],
        "environment": [{"name": "LITERAL", "value": "$(HOME) $$"}],
        "networkConfiguration": {"assignPublicIp": "ENABLED"},
        "ephemeralStorage": {"sizeInGiB": 50},
        "fargatePlatformConfiguration": {"platformVersion": "LATEST"},
        "logConfiguration": {"logDriver": "awslogs"},
    },
)
submitted = batch.submit_job(
    jobName=name,
    jobQueue=name,
    jobDefinition=definition["jobDefinitionArn"],
    parameters={"word": "$(word)"},
    containerOverrides={"environment": [{"name": "MORE", "value": "more"}]},
    retryStrategy={"attempts": 2},
    propagateTags=True,
)
print(
    json.dumps(
        {
            "environment": environment(),
            "queue": queue(),
            "definition": batch.describe_job_definitions(jobDefinitionName=name)["jobDefinitions"][0],
            "job": wait("the job has ended", lambda: ended(submitted["jobId"])),
        }
    )
)
