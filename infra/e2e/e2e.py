"""Deploys the product to an emulator of AWS, plays borrowers against it, and looks whether everything ended as it should.

What the emulator cannot show: latencies, IAM (its functions may call everything), throttles, canary deployments.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import template
from deployment import Deployment
from machine import Machine, PublicAddress, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
POISON = '{"this is": "no command"}'
# The emulator takes 50 ms of a processor for a call, so that borrowers must not all come at once.
COME_EVERY_MS = 4_000
LOOK_EVERY_MS = 2_000
PATIENCE_S = 300
SETTLES_WITHIN_S = 180


class Run:
    def __init__(self, keep: bool):
        self.began = time.monotonic()
        self.work = Path(tempfile.mkdtemp(prefix="lending-e2e-"))
        self.keep = keep
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lending-301"
        self.target = Path(os.environ.get("CARGO_TARGET_DIR", cache / "target"))
        self.machine = Machine(self.work)
        self.port = free_port()
        self.address = PublicAddress(self.port)
        self.deployment = Deployment(ROOT, self.work, self.target, self.port)
        self.keys_file = self.work / "keys.json"
        self.runner = self.target / "release" / "local"
        self.outside: dict = {}

    def step(self, what: str) -> None:
        print(f"\n== {what} ({time.monotonic() - self.began:.0f}s)", flush=True)

    def lending(self, *arguments) -> None:
        """The local runner, as whoever operates a deployment uses it."""
        self.deployment.run(self.runner, *arguments, "--keys", self.keys_file)

    def play(self) -> None:
        deployment = self.deployment
        self.step("local runner")
        deployment.run("cargo", "build", "--release", "--quiet")
        self.step("sam build")
        deployment.build()
        self.step("emulator and counterparties")
        self.start_emulator()
        self.start_counterparties()
        self.step("sam deploy")
        deployment.deploy(self.parameters())
        self.put_secrets()
        self.address.api_id = deployment.make_routes()
        deployment.shorten_visibility()
        self.step("firms and model")
        city = ROOT / "infra" / "local" / "city"
        tables = ["--table", deployment.outputs["FirmsTable"], "--relations", deployment.outputs["RelationsTable"]]
        self.lending("deployed", "firms", city, *tables)
        self.assign_model()
        self.step("borrowers, and a message that nobody understands in every queue")
        deployment.send_to_all(POISON)
        self.play_demo()
        self.step("sam deploy again, with another parameter")
        deployment.deploy(self.parameters() | {"LeastAssignment": "1"})
        self.check_setting("Score", "LEAST_ASSIGNMENT", "1")
        self.step("what is left")
        self.check_queues()
        self.step("sam delete")
        deployment.delete()

    def start_emulator(self) -> None:
        environment = self.deployment.environment | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        self.machine.start("emulator", [os.environ["EMULATOR"]], env=environment, cwd=self.work)
        wait_for(f"{self.deployment.endpoint}/_ministack/health", 60)

    def start_counterparties(self) -> None:
        # Makes the keys.
        self.deployment.run(self.runner, "models", "key", "--state", self.work)
        command = [self.runner, "deployed", "counterparties", "--books", self.work, "--keys", self.keys_file]
        self.outside = self.machine.start_and_read("counterparties", command)

    def parameters(self) -> dict[str, str]:
        return self.outside | {
            "Architecture": template.ARCHITECTURE,
            "Release": f"{int(time.time())}-{self.deployment.read('git', 'rev-parse', '--short=12', 'HEAD').strip()}",
            # The template allows no space between them.
            "BankUrls": json.dumps(self.outside["BankUrls"], separators=(",", ":")),
            "PublicUrl": self.address.url,
            "HashKeyId": self.deployment.read(self.runner, "secrets", "hash-key-id", "--state", self.work).strip(),
        }

    def put_secrets(self) -> None:
        """Fills the empty secrets that the template made, one for each function that needs one."""
        secrets = self.deployment.client("secretsmanager")
        for secret, function in template.secrets(self.deployment.template).items():
            text = self.deployment.read(self.runner, "secrets", function, "--state", self.work)
            secrets.put_secret_value(SecretId=self.deployment.names[secret], SecretString=text)

    def assign_model(self) -> None:
        bucket = f"s3://{self.deployment.names['Models']}"
        version = max(p.name for p in (ROOT / "models" / "registry").iterdir() if p.name[0].isdigit())
        self.lending("models", "--models-url", bucket, "put", ROOT / "models" / "registry" / version)
        self.lending("models", "--models-url", bucket, "assign", "river-quick", version)

    def play_demo(self) -> None:
        banks = [part for bank, url in self.outside["BankUrls"].items() for part in ("--bank-url", f"{bank}={url}")]
        self.lending(
            *("deployed", "demo", *banks, "--url", self.address.url),
            *("--channel-url", self.outside["ChannelUrl"]),
            *("--come-every", COME_EVERY_MS, "--look-every", LOOK_EVERY_MS, "--patience", PATIENCE_S),
        )

    def check_setting(self, function: str, name: str, expected: str) -> None:
        functions = self.deployment.client("lambda")
        # By the alias, as events call it: what has no alias is deployed whatever the release.
        told = functions.get_function_configuration(
            FunctionName=self.deployment.names[function],
            Qualifier=template.alias(self.deployment.template, function),
        )
        if (found := told["Environment"]["Variables"].get(name)) != expected:
            raise RuntimeError(f"{name} of {function} is {found} and not {expected}")

    def check_queues(self) -> None:
        """Every queue is empty but the dead-letter queues, and they hold the message that nobody understands."""
        dead_letters = {dead for dead in template.queues(self.deployment.template).values() if dead}
        for _ in range(SETTLES_WITHIN_S):
            left = self.deployment.left_in_queues()
            if left == dict.fromkeys(dead_letters, 1):
                break
            time.sleep(1)
        else:
            raise RuntimeError(f"messages are left in {left}, and there must be one in each of {sorted(dead_letters)}")
        wrong = {queue: len(bodies) for queue, bodies in self.deployment.dead_letters().items() if bodies != [POISON]}
        if wrong:
            raise RuntimeError(f"what lies in {wrong} is not the message that nobody understands")
        print(f"All queues are empty; each of {len(dead_letters)} dead-letter queues holds the one that belongs there.")

    def stop(self, failed: bool) -> None:
        self.machine.stop()
        self.address.stop()
        if failed or self.keep:
            print(f"Logs are in {self.work}.", file=sys.stderr)
        else:
            shutil.rmtree(self.work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep logs and keys of a run that went well")
    # Ending by a signal stops everything too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(parser.parse_args().keep)
    failed = True
    try:
        run.play()
        failed = False
    finally:
        run.stop(failed)
    run.step("done")


if __name__ == "__main__":
    main()
