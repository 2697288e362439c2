"""What grpcio can send that no server should take, against a server on the PORT of the command
line; the first complaint goes to standard error."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
Code = grpc.StatusCode
Status = health_pb2.HealthCheckResponse
call = channel.unary_unary("/grpc.health.v1.Health/Check")
watch = channel.unary_stream("/grpc.health.v1.Health/Watch")


def refused(what, wanted, body=b"", **options):
    """The call fails with one of these codes, as a unary call and as a stream."""
    for run in (lambda: call(body, timeout=60, **options),
                lambda: list(watch(body, timeout=60, **options))):
        try:
            sys.exit(f"{what}: {run()!r}")
        except grpc.RpcError as error:
            if error.code() not in wanted:
                sys.exit(f"{what}: {error.code()} {error.details()}, wanted {wanted}")


def fine():
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
    if answer.status != Status.SERVING:
        sys.exit(f"the gateway is {answer.status}")


for message in (b"\x0a", b"\x0a\x12greet", b"\x0a\xff\xff\xff\xff\x7f", b"\x00", b"\x0b",
                b"\x0a\x02\xff\xfe", b"\x08" + b"\xff" * 10):
    refused(f"protobuf {message!r}", {Code.INVALID_ARGUMENT}, message)

# A name of 64 KiB is a name nobody has.
name = health_pb2.HealthCheckRequest(service="n" * 65536).SerializeToString()
try:
    call(name, timeout=60)
    sys.exit("a name of 64 KiB is known")
except grpc.RpcError as error:
    if error.code() != Code.NOT_FOUND:
        sys.exit(f"a name of 64 KiB: {error.code()}")
stream = watch(name, timeout=60)
if next(stream) != b"\x08\x03":
    sys.exit("Watch of a name of 64 KiB")
stream.cancel()

# More than a server reads of one message.
refused("a message of 5 MB", {Code.RESOURCE_EXHAUSTED, Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED},
        b"\x0a\xc0\x96\xb1\x02" + b"n" * 5_000_000)
# Metadata above all buffers ends the connection, or the call; grpcio connects anew.
large = [("x-large", "m" * 200_000)]
refused("200 KB of metadata", {Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE, Code.INTERNAL,
                               Code.UNKNOWN}, b"", metadata=large)
fine()
# Some is nobody's concern.
if call(b"", timeout=60, metadata=[("x-some", "m" * 4000)]) != b"\x08\x01":
    sys.exit("4 KB of metadata")
# grpcio has deflate, which is not understood here.
refused("deflate", {Code.UNIMPLEMENTED}, b"\x0a\x01a" + b"x" * 0,
        compression=grpc.Compression.Deflate)
if call(b"", timeout=60, compression=grpc.Compression.Gzip) != b"\x08\x01":
    sys.exit("gzip")
fine()
