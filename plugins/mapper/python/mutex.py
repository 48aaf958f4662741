"""A mapper in Python: it adds the indicator type Mutex. ../../README.md says how to build and install it."""

import base64
import datetime
import json
import os
import sys
import tempfile
import threading
from concurrent import futures

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import mapper_pb2 as pb
import mapper_pb2_grpc

CONTRACT = 1  # the version of mapper.proto that this file was written for
MAX_MESSAGE = 16 << 20  # bytes of a request and of an answer


class MutexMapper(mapper_pb2_grpc.MapperServicer):
    def Describe(self, request, context):
        return pb.Description(name="Mutex in Python", version="1.0.0", types=[pb.TakenType(name="Mutex", default_ttl_hours=720)])

    def Map(self, request, context):
        return pb.MapResponse(answers=[answer_for(raw, request.now_ms) for raw in request.indicators])


def answer_for(raw, now_ms):
    """One answer to each indicator, whatever is wrong with it: an exception would fail the whole batch."""
    try:
        return map_indicator(json.loads(raw.decode("utf-8", "replace")), now_ms)
    except Exception as e:
        return pb.Answer(failed=True, problems=[clean(f"the mapper failed on this indicator: {e!r}")[:300]])


def map_indicator(indicator, now_ms):
    value = indicator.get("Mutex") or indicator.get("summary")
    if not isinstance(value, str) or not value.strip():
        return pb.Answer(problems=["the indicator has no value"])
    value = value.strip()
    if value != clean(value):
        return pb.Answer(problems=["the value is no text"])
    if value.startswith("Local\\"):
        return pb.Answer(problems=["a mutex of one session says nothing about others"])
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")  # a string literal of STIX
    owner = clean(str(indicator.get("ownerName") or ""))
    description = json.dumps({"owner": owner[:100]})  # a JSON object of at most 1,000 bytes
    return pb.Answer(objects=[pb.Object(pattern=f"[mutex:name = '{quoted}']", name=f"{value} | {owner}", description=description,
                                        created_ms=now_ms, indicator_types=["unknown"])])


def clean(text):
    """Texts of an answer are UTF-8 without NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def serve(servicer):
    """Serves the App until it says Shutdown, by the handshake of hashicorp/go-plugin."""
    if os.environ.get("MS_SENTINEL_MAPPER") != "threatconnect-to-stix":
        sys.exit("This is a mapper: the App starts it. To try it: app mapper check " + sys.argv[0])
    stopped = threading.Event()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), options=[
        ("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)])
    mapper_pb2_grpc.add_MapperServicer_to_server(servicer, server)
    shutdown = grpc.unary_unary_rpc_method_handler(lambda request, context: stopped.set() or b"")
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": shutdown})])
    key, certificate = make_certificate()
    only_the_app = grpc.ssl_server_credentials([(key, certificate.public_bytes(serialization.Encoding.PEM))],
                                               root_certificates=os.environ["PLUGIN_CLIENT_CERT"].encode(), require_client_auth=True)
    socket = os.path.join(tempfile.mkdtemp(dir=os.environ["PLUGIN_UNIX_SOCKET_DIR"]), "s")
    server.add_secure_port("unix:" + socket, only_the_app)
    server.start()
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode().rstrip("=")
    print(f"1|{CONTRACT}|unix|{socket}|grpc|{der}", flush=True)  # nothing else may be printed before
    stopped.wait()
    server.stop(grace=1).wait()


def make_certificate():
    """A key and a certificate for this process alone: the App trusts the one that the handshake names, and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=3650))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
                   .sign(key, hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, certificate


if __name__ == "__main__":
    serve(MutexMapper())
