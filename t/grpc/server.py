"""A server with grpcio's health service on the PORT of the command line, behind TLS when a
certificate and its key follow. A line of standard input sets a service: SERVING orders; a dot
stands for the server as a whole."""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

address = f"127.0.0.1:{sys.argv[1]}"
servicer = health.HealthServicer()
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
if len(sys.argv) > 2:
    cert, key = (open(path, "rb").read() for path in sys.argv[2:4])
    bound = server.add_secure_port(address, grpc.ssl_server_credentials([(key, cert)]))
else:
    bound = server.add_insecure_port(address)
server.start()
print("ready" if bound else "no port", flush=True)
for line in sys.stdin:
    status, service = line.split()
    service = "" if service == "." else service
    servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    print("ok", flush=True)
