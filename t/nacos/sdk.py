"""Nacos' own Python client against a naming face: PORT on the command line, the first complaint
on standard error."""

import os
import sys
import time

import nacos

port, folder = sys.argv[1], sys.argv[2]
client = nacos.NacosClient(f"127.0.0.1:{port}", namespace="", logDir=folder)
SERVICE = "orders"


def fail(text):
    """Ends at once; the threads of the client would go on."""
    print(text, file=sys.stderr, flush=True)
    os._exit(1)


def want(got, wanted, what):
    if got != wanted:
        fail(f"{what}: {got!r}, wanted {wanted!r}")


def hosts():
    return client.list_naming_instance(SERVICE)["hosts"]


def wait_for(what, check):
    for _ in range(1200):
        if check():
            return
        time.sleep(0.05)
    fail(f"{what}: not within a minute")


want(client.add_naming_instance(SERVICE, "127.0.0.1", 9001, metadata={"zone": "a"}), True, "add")
want(client.add_naming_instance(SERVICE, "127.0.0.1", 9002, cluster_name="c2"), True, "add")
want([host["port"] for host in hosts()], [9001, 9002], "list")
want(hosts()[0]["metadata"], {"zone": "a"}, "metadata")
want([h["port"] for h in client.list_naming_instance(SERVICE, clusters="c2")["hosts"]], [9002],
     "list of a cluster")

beat = client.send_heartbeat(SERVICE, "127.0.0.1", 9001, metadata={"zone": "a"})
want((beat["code"], beat["clientBeatInterval"]), (10200, 5000), "beat")
want(len(hosts()), 2, "a beat makes no second instance")
beat = client.send_heartbeat(SERVICE, "127.0.0.1", 9003)
want(len(hosts()), 3, "a beat registers what is unknown")

want(client.modify_naming_instance(SERVICE, "127.0.0.1", 9001, weight=4.0), True, "modify")
want(client.get_naming_instance(SERVICE, "127.0.0.1", 9001)["weight"], 4.0, "get")

events = []
client.subscribe(nacos.listener.SubscribeListener(
    fn=lambda event, instance: events.append((event, instance.instance["port"])),
    listener_name="test"), 0.1, SERVICE)
# The client tells nothing of the first instance it sees.
wait_for("events of what is there",
         lambda: len({port for event, port in events if event == "ADDED"}) >= 2)
want(client.remove_naming_instance(SERVICE, "127.0.0.1", 9003), True, "remove")
wait_for("an event of the removal", lambda: ("DELETED", 9003) in events)
client.stop_subscribe()

try:
    client.add_naming_instance(SERVICE, "127.0.0.1", 9004, weight=10001)
    fail("a weight of 10001 is taken")
except nacos.exception.NacosException as error:
    want(str(error), "Request Error, code is 400", "a weight of 10001")
