"""Reads STIX indicators, one a line, and writes where OASIS' matcher disagrees with them.

Each pattern has to match an observation of its own value and none of its neighbour's: the object before it of the same kind
that has another pattern, unless that one asks for all that this one does, and more. The observation is made from the pattern
by OASIS' own parser, not by the code under test; the subject of an email, which is sent as given, from the object's name, so that
a pattern that is quoted wrongly is found.
"""
import functools
import json
import multiprocessing
import sys

from stix2matcher.matcher import Pattern as Matcher
from stix2patterns.v21.pattern import Pattern

SEEN = "2026-11-28T12:00:00Z"


def text_of(literal):
    """The text of a string literal: in quotes, with a backslash before a quote or a backslash."""
    inner, text, n = literal[1:-1], "", 0
    while n < len(inner):
        n += inner[n] == "\\"
        text += inner[n]
        n += 1
    return text


@functools.lru_cache(maxsize=64)  # each pattern is its own, and its neighbour's neighbour
def comparisons_of(pattern):
    [(kind, comparisons)] = Pattern(pattern).inspect().comparisons.items()
    return kind, comparisons


def asks_for_more(neighbour, own):
    """Whether an object that one pattern describes has all that the other asks for."""
    described = {str(c) for c in comparisons_of(neighbour)[1]}
    return all(str(c) in described for c in comparisons_of(own)[1])


def observable_of(pattern):
    """A cyber observable that has what the pattern compares, and nothing else."""
    kind, comparisons = comparisons_of(pattern)
    observable = {"type": kind, "spec_version": "2.1", "id": kind + "--00000000-0000-4000-8000-000000000001"}
    for path, operator, literal in comparisons:
        if operator != "=":
            raise ValueError(f"{operator} is no equality")
        place, steps = observable, list(path)
        while len(steps) > 1:
            step = steps.pop(0)
            if steps and not isinstance(steps[0], str):  # values[*].name
                steps.pop(0)
                place.setdefault(step, [{}])
                place = place[step][0]
            else:
                place = place.setdefault(step, {})
        place[steps[0]] = text_of(literal)
    return observable


def observation_of(pattern):
    observable = observable_of(pattern)
    observed = {
        "type": "observed-data", "spec_version": "2.1", "id": "observed-data--00000000-0000-4000-8000-000000000002",
        "created": SEEN, "modified": SEEN, "first_observed": SEEN, "last_observed": SEEN, "number_observed": 1,
        "object_refs": [observable["id"]],
    }
    return {"type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000003", "objects": [observed, observable]}


def given_value(indicator):
    """The value as the name has it, before the bar and the owner, who may have bars as well."""
    owner = json.loads(indicator.get("description", "{}")).get("ownerName", "o")
    value, bar, _ = indicator["name"].rpartition(" | " + owner)
    return value if bar else ""


def observation_of_own(pattern, given):
    observation = observation_of(pattern)
    observable = observation["objects"][1]
    if "subject" in observable:
        if given and given.isascii() and given.isprintable() and given.strip() == given:  # else its margins are no part of it
            observable["subject"] = given
    return observation


def findings(case):
    own, given, neighbour = case
    found = []
    try:
        matcher = Matcher(own, "2.1")
        if not matcher.match([observation_of_own(own, given)]):
            found.append(f"{own[:200]} does not match its own value")
        if neighbour and not asks_for_more(neighbour, own) and matcher.match([observation_of(neighbour)]):
            found.append(f"{own[:200]} matches {neighbour[:200]}")
    except Exception as e:  # whatever the matcher dies of is a finding
        found.append(f"{own[:200]}: {type(e).__name__}: {e}")
    return found


def cases(lines):
    last, neighbour = {}, {}
    for line in lines:
        indicator = json.loads(line)
        pattern = indicator["pattern"]
        kind = pattern.split(":")[0]
        if last.get(kind) != pattern:
            last[kind], neighbour[kind] = pattern, last.get(kind)
        yield pattern, given_value(indicator), neighbour[kind]


if __name__ == "__main__":
    matched = 0
    with multiprocessing.Pool() as pool:
        for found in pool.imap_unordered(findings, cases(sys.stdin), chunksize=20):
            print(*found, sep="\n", end="\n" if found else "")
            matched += 1
    print(f"matched {matched}")
