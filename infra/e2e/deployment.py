"""The stack: built and deployed with SAM, looked at through AWS's own interface, deleted."""

import json
import os
import subprocess
import time

import boto3
from samcli.yamlhelper import yaml_dump, yaml_parse

import template

STACK = "lending-e2e"
REGION = "eu-central-1"
# A message that failed comes back after this time and not after that of the template, so that five tries take a minute.
# It is shorter than the functions' time-outs: what is still at work is delivered again, as AWS may do at any time.
COMES_BACK_AFTER_S = 10


class Deployment:
    def __init__(self, root, work, target, gateway_port: int):
        self.root, self.work = root, work
        self.template = template.processed(root / "infra" / "template.yaml")
        self.endpoint = f"http://127.0.0.1:{gateway_port}"
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
            "CARGO_TARGET_DIR": str(target),
            # The linker of this machine; from another one it would be zig.
            "CARGO_LAMBDA_COMPILER": "cargo",
        }
        self.names: dict[str, str] = {}
        self.outputs: dict[str, str] = {}

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def run(self, *command) -> None:
        subprocess.run([str(part) for part in command], env=self.environment, cwd=self.root, check=True)

    def read(self, *command) -> str:
        """What a command prints."""
        command = [str(part) for part in command]
        return subprocess.run(
            command, env=self.environment, cwd=self.root, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def build(self) -> None:
        source = self.work / "template.yaml"
        source.write_text(yaml_dump(self.template))
        self.run("sam", "build", "--template", source, "--build-dir", self.work / "build", "--no-cached")

    def deploy(self, parameters: dict[str, str]) -> None:
        needed = {n for n, p in self.template["Parameters"].items() if "Default" not in p}
        if missing := needed - parameters.keys():
            raise RuntimeError(f"the template's parameters {sorted(missing)} have no value here")
        given = {n: v for n, v in parameters.items() if n in self.template["Parameters"]}
        # The emulator's transform is not told the values of parameters, of which the release is one.
        built = self.work / "build" / "template.yaml"
        resources = yaml_parse(built.read_text())
        for function in template.functions(resources).values():
            function["Properties"]["AutoPublishCodeSha256"] = parameters["Release"]
        built.write_text(yaml_dump(resources))
        overrides = [f"{name}={json.dumps(value)}" for name, value in given.items()]
        self.run(
            *("sam", "deploy", "--template-file", built),
            *("--stack-name", STACK, "--region", REGION, "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"),
            *("--parameter-overrides", *overrides),
        )
        cloud = self.client("cloudformation")
        pages = cloud.get_paginator("list_stack_resources").paginate(StackName=STACK)
        resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
        self.names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}
        stack = cloud.describe_stacks(StackName=STACK)["Stacks"][0]
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    def make_routes(self) -> str:
        """The emulator drops the routes of an API that is given as a document; its own interface takes them."""
        gateway, functions = self.client("apigatewayv2"), self.client("lambda")
        api = self.names["Api"]
        integrations = {}
        for route, function, guard in template.routes(self.template):
            if function not in integrations:
                arn = functions.get_function(FunctionName=self.names[function])["Configuration"]["FunctionArn"]
                version = template.alias(self.template, function)
                made = gateway.create_integration(
                    ApiId=api,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=f"{arn}:{version}" if version else arn,
                    PayloadFormatVersion="2.0",
                )
                integrations[function] = made["IntegrationId"]
            target = f"integrations/{integrations[function]}"
            gateway.create_route(ApiId=api, RouteKey=route, Target=target, AuthorizationType=guard)
        return api

    def shorten_visibility(self) -> None:
        queues = self.client("sqs")
        for queue, dead_letters in template.queues(self.template).items():
            if dead_letters:
                attributes = {"VisibilityTimeout": str(COMES_BACK_AFTER_S)}
                queues.set_queue_attributes(QueueUrl=self.names[queue], Attributes=attributes)

    def send_to_all(self, body: str) -> None:
        """Sends a message to every queue that a function reads."""
        queues = self.client("sqs")
        for queue, dead_letters in template.queues(self.template).items():
            if dead_letters:
                queues.send_message(QueueUrl=self.names[queue], MessageBody=body)

    def left_in_queues(self) -> dict[str, int]:
        """Messages that wait, are at work or are delayed, by queue; without those that are empty."""
        queues = self.client("sqs")
        kinds = ["", "NotVisible", "Delayed"]
        names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
        left = {}
        for queue in template.queues(self.template):
            answer = queues.get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=names)
            left[queue] = sum(int(answer["Attributes"][name]) for name in names)
        return {queue: number for queue, number in left.items() if number}

    def dead_letters(self) -> dict[str, list[str]]:
        """The bodies in each dead-letter queue."""
        queues = self.client("sqs")
        found = {}
        for queue in filter(None, template.queues(self.template).values()):
            bodies = []
            while messages := queues.receive_message(
                QueueUrl=self.names[queue], MaxNumberOfMessages=10, VisibilityTimeout=120
            ).get("Messages"):
                bodies += [message["Body"] for message in messages]
            found[queue] = bodies
        return found

    def delete(self) -> None:
        """Deletes the stack, with the buckets that the template keeps and this run does not need."""
        self.run("sam", "delete", "--stack-name", STACK, "--region", REGION, "--no-prompts")
        cloud = self.client("cloudformation")
        for _ in range(60):
            stacks = cloud.list_stacks()["StackSummaries"]
            states = [stack["StackStatus"] for stack in stacks if stack["StackName"] == STACK]
            if all(state == "DELETE_COMPLETE" for state in states):
                return
            time.sleep(1)
        raise RuntimeError(f"the stack is not gone: {states}")
