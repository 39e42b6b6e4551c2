"""What SAM makes of the template, which neither `sam validate` nor checkov looks at: no resource may wait for itself, or
CloudFormation refuses all of them, and a release must give each function another version, or its alias stays with what it
had. Usage: translated.py <template>, in SAM's environment."""

import logging
import re
import sys
from graphlib import CycleError, TopologicalSorter

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


logging.disable(logging.WARNING)


class NoManagedPolicies:
    def load(self):
        return {}


def names(value):
    """The names that a part of the template refers to."""
    if isinstance(value, list):
        for item in value:
            yield from names(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref" or key == "DependsOn" and isinstance(inner, str):
                yield inner
            elif key == "DependsOn":
                yield from inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                text, *values = inner if isinstance(inner, list) else [inner]
                yield from (name.split(".")[0] for name in re.findall(r"\$\{([A-Za-z0-9.]+)\}", text))
                yield from names(values)
            else:
                yield from names(inner)


def translated(release):
    """The resources, as if everything had been built and uploaded, and this release were deployed."""
    template = yaml_parse(open(sys.argv[1]).read())
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    parameters = {name: parameter.get("Default", "given") for name, parameter in template["Parameters"].items()}
    return transform(template, parameters | {"Release": release}, NoManagedPolicies())["Resources"]


def versions(resources):
    return {name for name, resource in resources.items() if resource["Type"] == "AWS::Lambda::Version"}


resources, later = translated("1700000000-0000000"), translated("1700000001-0000000")
if unmoved := versions(resources) & versions(later):
    sys.exit(f"a release leaves versions as they were: {sorted(unmoved)}")
waits_for = {name: {other for other in names(resource) if other in resources} for name, resource in resources.items()}
try:
    print(len(list(TopologicalSorter(waits_for).static_order())), "resources, and none waits for itself")
except CycleError as error:
    sys.exit("resources wait for each other: " + " -> ".join(error.args[1]))

# The role that SAM makes for CodeDeploy trusts a service that China does not have.
if "CodeDeployServiceRole" in resources:
    sys.exit("a function is deployed under SAM's own role")

# IAM guards the routes that the template says it does, and no other: those are open to whoever has a token.
document = resources["Api"]["Properties"]["Body"]
guarded = {path for path, methods in document["paths"].items() for method in methods.values() if "security" in method}
if guarded != {path for path in document["paths"] if path.startswith("/v1/rings")}:
    sys.exit(f"IAM guards {sorted(guarded)}")
for path in guarded:
    if any(method["security"] != [{"AWS_IAM": []}] for method in document["paths"][path].values()):
        sys.exit(f"{path} is guarded by something else than IAM")
if document["components"]["securitySchemes"]["AWS_IAM"]["x-amazon-apigateway-authtype"] != "awsSigv4":
    sys.exit("what is called IAM is something else")
print(len(guarded), "routes that IAM guards")
print(len(versions(resources)), "functions, and a release moves each")
