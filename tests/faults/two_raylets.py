"""A local Ray cluster of two raylets with a core each; prints its address.

A line on stdin takes from the second one: "raylet" the raylet alone, "machine" all that runs below it too;
"notice" tells the raylet to end, as an eviction does.
"""

import os
import signal
import sys

import psutil

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}

# A raylet that is gone is missed after 5 s instead of 15; one that is slow has ten for each answer.
SETTINGS = {"_system_config": {"health_check_period_ms": 1000}}

cluster = Cluster(initialize_head=True, head_node_args=NODE | SETTINGS)
second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
for line in sys.stdin:
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
    victims = [raylet, *raylet.children(recursive=True)] if line == "machine\n" else [raylet]
    for victim in victims:
        victim.send_signal(signal.SIGTERM if line == "notice\n" else signal.SIGKILL)
    print("killed", flush=True)
cluster.shutdown()
