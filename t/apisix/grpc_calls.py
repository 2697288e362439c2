"""gRPC through a gateway on the port PROXY to servers of our own on PLAIN and SECURE, with the
certificate in FOLDER; the first complaint goes to standard error."""

import sys
from concurrent import futures

import grpc

proxy, plain, secure, folder = sys.argv[1:]


class Echo(grpc.GenericRpcHandler):
    """Any method: `fail` ends with a status, others send each message back twice."""

    def service(self, details):
        metadata = dict(details.invocation_metadata)

        def answer(messages, context):
            if details.method.endswith("/fail"):
                context.abort(grpc.StatusCode.NOT_FOUND, "not here")
            context.set_trailing_metadata((("x-seen", metadata.get("x-sent", "")),))
            for message in messages:
                yield message
                yield message

        return grpc.stream_stream_rpc_method_handler(answer)


def serve(port, credentials=None):
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(Echo(),))
    address = f"127.0.0.1:{port}"
    if credentials:
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    return server


def want(got, wanted, what):
    if got != wanted:
        sys.exit(f"{what}: {got!r}, wanted {wanted!r}")


with open(f"{folder}/self.key", "rb") as key, open(f"{folder}/self.pem", "rb") as chain:
    credentials = grpc.ssl_server_credentials([(key.read(), chain.read())])
servers = [serve(plain), serve(secure, credentials)]
channel = grpc.insecure_channel(f"127.0.0.1:{proxy}")
for scheme in ("grpc", "grpcs"):
    call = channel.stream_stream(f"/t.{scheme}/echo")
    answers = call(iter([b"a", b"b" * 70_000]), timeout=60, metadata=(("x-sent", "1"),))
    sizes = [len(answer) for answer in answers]
    want(sizes, [1, 1, 70_000, 70_000], f"{scheme} messages")
    want(dict(answers.trailing_metadata()).get("x-seen"), "1", f"{scheme} metadata")
    failing = channel.unary_unary(f"/t.{scheme}/fail")
    try:
        failing(b"", timeout=60)
        sys.exit(f"{scheme}: no failure")
    except grpc.RpcError as error:
        want((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, "not here"), scheme)
for server in servers:
    server.stop(0).wait()
