"""Reads STIX objects, one a line, and writes what the OASIS validators say against them.

Warnings count as well, but for those about what is meant: ids of version 5 (103), indicator types in the
spelling of Sentinel's workbook (111, 214), a reference to ThreatConnect without a hash of the page (302).
"""
import functools
import json
import multiprocessing
import sys

import stix2validator.v21.musts
from stix2patterns.validator import run_validator
from stix2validator import ValidationOptions, validate_instance

OPTIONS = ValidationOptions(version="2.1", disabled="103,111,214,302")

# The validator of objects asks that of patterns as well: the same question is answered once.
check_pattern = functools.lru_cache(maxsize=8)(run_validator)
stix2validator.v21.musts.pattern_validator = check_pattern


def findings(line):
    stix = json.loads(line)
    result = validate_instance(stix, OPTIONS)
    pattern = check_pattern(stix["pattern"], "2.1")
    return [f"{stix['pattern'][:200]}: {f}" for f in [*result.errors, *result.warnings, *pattern]]


if __name__ == "__main__":
    validated = 0
    with multiprocessing.Pool() as pool:
        for found in pool.imap_unordered(findings, sys.stdin, chunksize=50):
            print(*found, sep="\n", end="\n" if found else "")
            validated += 1
    print(f"validated {validated}")
