"""The template as the emulator takes it: a copy. What is taken out or changed is listed here and nowhere else."""

import platform
import re
from pathlib import Path

from samcli.yamlhelper import yaml_parse

# Functions run as processes of this machine; Lambda and the machine call one of the two by different names.
ARCHITECTURE = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
# CodeDeploy shifts traffic; the emulator has none.
UNKNOWN_PROPERTIES = ["DeploymentPreference"]


def processed(path: Path) -> dict:
    """Reads the template and makes it deployable here."""
    template = yaml_parse(path.read_text())
    for parameter in template.get("Parameters", {}).values():
        # Everything here is plain HTTP on this machine.
        if "https://" in parameter.get("AllowedPattern", ""):
            parameter["AllowedPattern"] = parameter["AllowedPattern"].replace("https://", "https?://")
    defaults = template.get("Globals", {}).get("Function", {})
    if isinstance(defaults.get("Architectures"), list):
        defaults["Architectures"] = [ARCHITECTURE]
    _drop(defaults)
    for name, resource in functions(template).items():
        properties = resource["Properties"]
        _drop(properties)
        properties["CodeUri"] = str((path.parent / properties["CodeUri"]).resolve())
        settings = properties.get("Environment", {}).get("Variables", {})
        if "ALLOW_LOCAL" in settings:
            # Counterparties are on this machine too.
            settings["ALLOW_LOCAL"] = "true"
    _drop_alarms_over_expressions(template)
    return template


def functions(template: dict) -> dict:
    """The functions by logical id."""
    return _of_type(template, "AWS::Serverless::Function")


def routes(template: dict) -> list[tuple[str, str, str]]:
    """Route keys as API Gateway spells them, each with the logical id of its function and who guards it."""
    found = []
    for name, function in functions(template).items():
        for event in function["Properties"].get("Events", {}).values():
            if event["Type"] == "HttpApi":
                properties = event["Properties"]
                guard = properties.get("Auth", {}).get("Authorizer", "NONE")
                found.append((f"{properties['Method']} {properties['Path']}", name, guard))
    return found


def alias(template: dict, function: str) -> str | None:
    """The alias that events call, where there is one."""
    defaults = template.get("Globals", {}).get("Function", {})
    return functions(template)[function]["Properties"].get("AutoPublishAlias", defaults.get("AutoPublishAlias"))


def queues(template: dict) -> dict[str, str | None]:
    """Each queue by logical id, with the logical id of its dead-letter queue."""
    found = {}
    for name, queue in _of_type(template, "AWS::SQS::Queue").items():
        rule = queue.get("Properties", {}).get("RedrivePolicy")
        found[name] = rule["deadLetterTargetArn"]["Fn::GetAtt"][0] if rule else None
    return found


def secrets(template: dict) -> dict[str, str]:
    """Each secret by logical id, with the name of the function whose it is."""
    names = {name: name.removesuffix("Secrets") for name in _of_type(template, "AWS::SecretsManager::Secret")}
    return {name: re.sub(r"(?<!^)(?=[A-Z])", "-", function).lower() for name, function in names.items()}


def _of_type(template: dict, kind: str) -> dict:
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def _drop(properties: dict) -> None:
    for name in UNKNOWN_PROPERTIES:
        properties.pop(name, None)


def _drop_alarms_over_expressions(template: dict) -> None:
    """The emulator refuses alarms over expressions of several metrics. Nothing but deployments and composite alarms names them."""
    alarms = _of_type(template, "AWS::CloudWatch::Alarm")
    for name in [name for name, alarm in alarms.items() if "Metrics" in alarm["Properties"]]:
        del template["Resources"][name]
