"""Write the bill of materials of flashwasm: its modules, and the packages that it needs.

    python .ci/sbom.py build/sbom.json

The format is CycloneDX. `cyclonedx-py` lists the packages of this Python's environment. This script
keeps those that flashwasm needs without extras. It reads the modules from the list that the build
of the kernels wrote.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "src" / "flashwasm" / "_wasm" / "modules.cdx.json"


def direct(package: str) -> set[str]:
    """Return the names of a package's direct dependencies on this Python, without its extras."""
    asked = map(Requirement, requires(package) or [])
    return {
        canonicalize_name(one.name)
        for one in asked
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def needed(package: str) -> set[str]:
    """Return the names of all dependencies of a package, direct and indirect."""
    found, left = set(), direct(package)
    while left:
        name = left.pop()
        found.add(name)
        left |= direct(name) - found
    return found


def environment() -> dict[str, Any]:
    """Return cyclonedx-py's list of the packages of this Python's environment."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--mc-type", "library"]
    # The end of this script validates the part of the list that it keeps. Validating the whole list
    # here would take longer than all other steps.
    options = ["--no-validate", "--output-reproducible", "--pyproject", ROOT / "pyproject.toml"]
    options.append(sys.executable)
    done = subprocess.run([*command, *options], check=True, capture_output=True)
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def bill_of_materials() -> dict[str, Any]:
    """Return the list of the package, its dependencies and its modules."""
    bill, modules = environment(), json.loads(MODULES.read_text("utf-8"))
    names, root = needed("flashwasm"), bill["metadata"]["component"]
    root["version"] = version("flashwasm")
    packages = {canonicalize_name(c["name"]): c for c in bill["components"]}
    refs = {name: packages[name]["bom-ref"] for name in sorted(names)}
    bill["components"] = [*(packages[name] for name in refs), *modules["components"]]
    bill["metadata"]["tools"]["components"] += modules["metadata"]["tools"]["components"]
    # The environment's own list includes dependencies of extras, so these lists replace it.
    depends = {ref: [refs[one] for one in direct(name)] for name, ref in refs.items()}
    depends[root["bom-ref"]] = [
        *(refs[one] for one in direct("flashwasm")),
        *(component["bom-ref"] for component in modules["components"]),
    ]
    bill["dependencies"] = [{"ref": r, "dependsOn": sorted(on)} for r, on in depends.items()]
    return bill


def main() -> None:
    """Write the list to the file named on the command line, if it follows the format's schema."""
    output = Path(sys.argv[1])
    text = json.dumps(bill_of_materials(), indent=2) + "\n"
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error:
        sys.exit(f"not CycloneDX 1.6: {error}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, "utf-8")
    print(f"{output}: {len(json.loads(text)['components'])} components")


if __name__ == "__main__":
    main()
