"""Runs the content's queries with duckdb-kql, all in one process.

Standard input is {"schemas": {table: {column: type}}, "worlds": {world: {table: [rows]}}, "queries": {world: {name: text}}}. What each query gives in
each world is printed as {world: {name: [{column: value}]}}.
"""

import datetime
import ipaddress
import json
import random
import sys

import duckdb_kql
from duckdb_kql.translate import functions

# duckdb-kql 1.1.2 has no containment of addresses. It is written here in SQL, over the addresses as texts of bits, and compared
# with Python's own library before it is used.
FULL6 = duckdb_kql.to_sql("print parse_ipv6('placeholder')").removeprefix("SELECT ").removesuffix(' AS "print_0"').replace("'placeholder'", "a")
MACROS = (
    """CREATE MACRO bits4(a) AS list_aggregate(list_transform(string_split(a, '.'), lambda o: lpad(bin(TRY_CAST(o AS BIGINT)), 8, '0')), 'string_agg', '')""",
    """CREATE MACRO bits6(a) AS list_aggregate(list_transform(string_split(replace(a, ':', ''), ''),
        lambda h: substring('0000000100100011010001010110011110001001101010111100110111101111', 4 * instr('0123456789abcdef', h) - 3, 4)), 'string_agg', '')""",
    f"CREATE MACRO full6(a) AS {FULL6}",
    """CREATE MACRO sameStart(one, other, n) AS left(one, TRY_CAST(n AS INTEGER)) = left(other, TRY_CAST(n AS INTEGER))""",
)
functions.SCALAR_FUNCTIONS["ipv4_is_in_range"] = functions.FunctionSpec(
    "ipv4_is_in_range", "template", "sameStart(bits4({0}), bits4(split_part({1}, '/', 1)), split_part({1}, '/', 2))", (2,)
)
functions.SCALAR_FUNCTIONS["ipv6_is_in_range"] = functions.FunctionSpec(
    "ipv6_is_in_range", "template",
    "sameStart(bits6(full6({0})), bits6(full6(split_part({1}, '/', 1))), split_part({1}, '/', 2))", (2,)
)

TYPES = {"string": "VARCHAR", "int": "INTEGER", "long": "BIGINT", "real": "DOUBLE", "bool": "BOOLEAN",
         "datetime": "TIMESTAMP", "dynamic": "JSON"}


def check_containment(base):
    chance = random.Random(7)
    for address in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        version, width = address(1).version, address(1).max_prefixlen
        pairs = []
        for _ in range(60):
            bits, number = chance.randint(8, width), chance.getrandbits(width)
            near = number ^ (1 << chance.randint(max(0, width - bits - 2), min(width - 1, width - bits + 1)))
            pairs.append((str(address(near)), f"{address(number)}/{bits}"))
        here = ", ".join(f"i{n} = ipv{version}_is_in_range('{a}', '{b}')" for n, (a, b) in enumerate(pairs))
        want = [ipaddress.ip_address(a) in ipaddress.ip_network(b, strict=False) for a, b in pairs]
        got = list(duckdb_kql.query(base, "print " + here).fetchall()[0])
        if got != want or len(set(want)) != 2:
            sys.exit(f"containment of addresses is wrong: {pairs} {got}")


def main():
    given = json.load(sys.stdin)
    said = {}
    for world, tables in given["worlds"].items():
        base = duckdb_kql.connect()
        for macro in MACROS:
            base.execute(macro)
        if not said:
            check_containment(base)
        for table, columns in given["schemas"].items():
            base.execute(f"CREATE TABLE {table} (%s)" % ", ".join(f'"{name}" {TYPES[kind]}' for name, kind in columns.items()))
            rows = tables.get(table) or []
            for row in rows:
                if unknown := set(row) - set(columns):
                    sys.exit(f"{table} has no column {unknown}")
            if rows:
                values = ", ".join("(" + ", ".join("?" * len(columns)) + ")" for _ in rows)
                base.execute(f"INSERT INTO {table} VALUES {values}", [put(row.get(name), kind) for row in rows for name, kind in columns.items()])
        said[world] = {}
        for name, text in given["queries"][world].items():
            try:
                result = duckdb_kql.query(base, text)
                said[world][name] = [{c: show(v) for c, v in zip(result.columns, row)} for row in result.fetchall()]
            except Exception as fault:
                sys.exit(f"{name}: {fault}")
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
