"""A local Ray cluster of two raylets with a core each; prints its address.

A line on stdin takes from the second one: "raylet" the raylet alone, "machine" all that runs below it too.
"""

import os
import signal
import sys

import psutil

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}

cluster = Cluster(initialize_head=True, head_node_args=NODE)
second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
    victims = [raylet] if line == "raylet\n" else [raylet, *raylet.children(recursive=True)]
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    print("killed", flush=True)
cluster.shutdown()
