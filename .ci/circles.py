"""Finds resources that wait for each other: CloudFormation refuses such a template, and neither `sam validate` nor
checkov notices, because some of the resources are made by SAM. Usage: circles.py <template>, in SAM's environment."""

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


template = yaml_parse(open(sys.argv[1]).read())
for resource in template["Resources"].values():
    if "CodeUri" in resource.get("Properties", {}):
        # As if it had been built and uploaded.
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
parameters = {name: parameter.get("Default", "given") for name, parameter in template["Parameters"].items()}
resources = transform(template, parameters, NoManagedPolicies())["Resources"]
waits_for = {name: {other for other in names(resource) if other in resources} for name, resource in resources.items()}
try:
    print(len(list(TopologicalSorter(waits_for).static_order())), "resources, and none waits for itself")
except CycleError as error:
    sys.exit("resources wait for each other: " + " -> ".join(error.args[1]))
