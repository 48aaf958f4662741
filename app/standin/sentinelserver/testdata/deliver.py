"""Delivers what it reads, one request body a line, by Microsoft's own libraries, and writes the status of each.

Arguments: address of login and upload, tenant, application, secret, path of the upload.
"""
import json
import sys

from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.identity import ClientSecretCredential

base, tenant, client, secret, path = sys.argv[1:]
credential = ClientSecretCredential(tenant, client, secret, authority=base, disable_instance_discovery=True)
policy = BearerTokenCredentialPolicy(credential, "https://management.azure.com/.default")
with PipelineClient(base, policies=[policy]) as upload:
    for line in sys.stdin:
        request = upload.post(path, {"api-version": "2024-02-01-preview"}, content=json.loads(line))
        print(upload.send_request(request).status_code)
