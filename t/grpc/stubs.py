"""grpcio's health stubs against a server on the PORT of the command line, or on a TLS PORT whose
CERTIFICATE follows; the first complaint goes to standard error."""

import queue
import sys
import threading
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

port = sys.argv[1]
if len(sys.argv) > 2:
    with open(sys.argv[3], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    channel = grpc.secure_channel(f"localhost:{sys.argv[2]}", credentials)
else:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
stub = health_pb2_grpc.HealthStub(channel)
SERVICE = "greet.GreetService"
Status = health_pb2.HealthCheckResponse


def want(got, wanted, what):
    if got != wanted:
        sys.exit(f"{what}: {got!r}, wanted {wanted!r}")


def ask(service):
    return health_pb2.HealthCheckRequest(service=service)


def turn(how):
    urllib.request.urlopen(f"http://127.0.0.1:{port}/{how}", timeout=60).read()


def watch(service):
    """A queue of the statuses of a stream, and the call."""
    call = stub.Watch(ask(service))
    statuses = queue.Queue()

    def read():
        try:
            for answer in call:
                statuses.put(answer.status)
        except grpc.RpcError as error:
            statuses.put(error.code())

    threading.Thread(target=read, daemon=True).start()
    return statuses, call


def follows(statuses, wanted, what):
    try:
        want(statuses.get(timeout=60), wanted, what)
    except queue.Empty:
        sys.exit(f"{what}: nothing within a minute")


want(stub.Check(ask(SERVICE), timeout=60).status, Status.SERVING, "Check")
want(stub.Check(ask(""), timeout=60).status, Status.SERVING, "Check of the gateway")
try:
    stub.Check(ask("nope"), timeout=60)
    sys.exit("an unknown service is known")
except grpc.RpcError as error:
    want((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, "unknown service"), "Check")

statuses, call = watch(SERVICE)
follows(statuses, Status.SERVING, "the first status")
turn("down")
follows(statuses, Status.NOT_SERVING, "a change")
want(stub.Check(ask(SERVICE), timeout=60).status, Status.NOT_SERVING, "Check of one that is down")
turn("up")
follows(statuses, Status.SERVING, "a change back")
want(statuses.empty(), True, "nothing twice")
call.cancel()
follows(statuses, grpc.StatusCode.CANCELLED, "the end")

statuses, call = watch("nope")
follows(statuses, Status.SERVICE_UNKNOWN, "an unknown service")
call.cancel()

if hasattr(stub, "List"):
    listed = stub.List(health_pb2.HealthListRequest(), timeout=60).statuses
    want(sorted(listed), ["", SERVICE], "List")

unknown = channel.unary_unary("/grpc.health.v1.Health/Nope")
try:
    unknown(b"", timeout=60)
    sys.exit("a method that is none is served")
except grpc.RpcError as error:
    want(error.code(), grpc.StatusCode.UNIMPLEMENTED, "a method that is none")
