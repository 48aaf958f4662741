"""Runs queries over rows of ThreatIntelIndicators with duckdb-kql.

Standard input is {"columns": {name: type}, "rows": [{column: value}], "queries": {name: text}}; what each query gives is printed
as {name: {"columns": [...], "rows": [...]}}, times as the query API writes them.
"""

import datetime
import json
import sys

import duckdb_kql
from duckdb_kql.translate import functions

# duckdb-kql 1.1.2 lacks strcmp, which KQL defines to be -1, 0 or 1 as the first text is less, equal or greater.
functions.SCALAR_FUNCTIONS["strcmp"] = functions.FunctionSpec(
    "strcmp", "template", "(CASE WHEN {0} < {1} THEN -1 WHEN {0} > {1} THEN 1 ELSE 0 END)", (2,)
)

TYPES = {"string": "VARCHAR", "int": "INTEGER", "long": "BIGINT", "real": "DOUBLE", "bool": "BOOLEAN",
         "datetime": "TIMESTAMP", "dynamic": "JSON"}


def main():
    given = json.load(sys.stdin)
    columns = given["columns"]
    base = duckdb_kql.connect()
    base.execute("CREATE TABLE ThreatIntelIndicators (%s)" % ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in columns.items()))
    for row in given["rows"]:
        unknown = set(row) - set(columns)
        if unknown:
            sys.exit(f"the table has no column {unknown}")
        values = [put(row.get(name), kind) for name, kind in columns.items()]
        base.execute("INSERT INTO ThreatIntelIndicators VALUES (%s)" % ", ".join("?" * len(values)), values)
    said = {}
    for name, text in given["queries"].items():
        result = duckdb_kql.query(base, text)
        said[name] = {"columns": list(result.columns), "rows": [[show(value) for value in row] for row in result.fetchall()]}
    json.dump(said, sys.stdout)


def put(value, kind):
    """A value of JSON as DuckDB takes it. A text without value is empty in KQL, never null."""
    if kind == "string":
        return value or ""
    if kind == "dynamic" and value is not None:
        return json.dumps(value)
    if kind == "datetime" and value:
        return value.rstrip("Z")
    return value


def show(value):
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
    return value


main()
