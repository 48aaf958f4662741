"""Sends what it reads, one query a line as JSON, by Microsoft's own client of the query API, and writes what came of each.

Arguments: address of login and queries, tenant, application, secret, workspace.
"""
import datetime
import json
import sys

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsQueryClient, LogsQueryStatus

base, tenant, client, secret, workspace = sys.argv[1:]
credential = ClientSecretCredential(tenant, client, secret, authority=base, disable_instance_discovery=True)
logs = LogsQueryClient(credential, endpoint=base, audience="https://api.loganalytics.io")


def kinds(table):
    """The Python types that the client makes of each column, by the values that are there."""
    return {name: sorted({type(row[i]).__name__ for row in table.rows if row[i] is not None}) for i, name in enumerate(table.columns)}


def ask(query):
    try:
        result = logs.query_workspace(workspace, query, timespan=datetime.timedelta(days=30), server_timeout=20)
    except HttpResponseError as error:
        return {"status": error.status_code, "code": error.error.code if error.error else None}
    if result.status == LogsQueryStatus.PARTIAL:
        return {"status": "partial", "code": result.partial_error.code, "rows": len(result.partial_data[0].rows)}
    table = result.tables[0]
    return {"status": "success", "name": table.name, "rows": len(table.rows), "kinds": kinds(table), "first": table.rows[0][0]}


for line in sys.stdin:
    print(json.dumps(ask(json.loads(line)), default=str))
