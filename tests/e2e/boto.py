"""Reads the API with boto3, page by page, and prints what it saw as JSON. Arguments: queue, definition."""

import json
import sys

import boto3

queue, definition = sys.argv[1:]
batch = boto3.client("batch")

pages = list(
    batch.get_paginator("list_jobs").paginate(
        jobQueue=queue, jobStatus="RUNNABLE", PaginationConfig={"PageSize": 2}
    )
)
jobs = [job for page in pages for job in page["jobSummaryList"]]
named = batch.get_paginator("list_jobs").paginate(
    jobQueue=queue, filters=[{"name": "JOB_NAME", "values": ["EVEN*"]}], PaginationConfig={"PageSize": 2}
)
revisions = list(
    batch.get_paginator("describe_job_definitions").paginate(
        jobDefinitionName=definition, status="ACTIVE", PaginationConfig={"PageSize": 2}
    )
)
try:
    batch.submit_job(jobName="not a name", jobQueue=queue, jobDefinition=definition)
    refused = None
except batch.exceptions.ClientException as error:
    refused = error.response["Error"]["Message"]

print(
    json.dumps(
        {
            "pages": [len(page["jobSummaryList"]) for page in pages],
            "jobs": [job["jobId"] for job in jobs],
            "named": [job["jobName"] for page in named for job in page["jobSummaryList"]],
            "created": [job["createdAt"] for job in jobs],
            "revisionPages": [len(page["jobDefinitions"]) for page in revisions],
            "revisions": [one["revision"] for page in revisions for one in page["jobDefinitions"]],
            "refused": refused,
        }
    )
)
