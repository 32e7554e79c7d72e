"""One job on an engine of this machine, with two worker processes, in its own process.

    python -m tests.scale.cluster_job ENGINE score BUNDLE TABLES OUTPUT --kill 8
    python -m tests.scale.cluster_job ENGINE sample BUNDLE ROWS OUTPUT --partitions 7

With ``--kill`` a worker is killed when this many files are written.
"""

import argparse
import sys
import threading
import time
from pathlib import Path

from rnvp_runtime.distributed.commands import sample_on_cluster, score_on_cluster
from tests.scale.local_clusters import CLUSTERS, LocalCluster, kill_a_worker


def kill_half_way(cluster: LocalCluster, output: Path, files: int, killed: list[int]) -> None:
    """Kill a worker when ``files`` files are written beside ``output``; add its id to ``killed``.

    The job writes into a folder with another name, which is renamed to ``output`` at the end.
    """
    while not output.exists() and not killed:
        written = [p for p in output.parent.rglob("*.parquet") if p.stat().st_size]
        if len(written) >= files and (pid := kill_a_worker(cluster)) is not None:
            killed.append(pid)
        time.sleep(0.02)


def main() -> None:
    """Run the command that the module's docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=CLUSTERS)
    parser.add_argument("verb", choices=["sample", "score"])
    parser.add_argument("bundle")
    parser.add_argument("given", help="a folder of tables, or a number of rows")
    parser.add_argument("output", type=Path)
    parser.add_argument("--kill", type=int, metavar="FILES", help="after so many files")
    parser.add_argument("--partitions", type=int)
    options = parser.parse_args()
    killed: list[int] = []
    with CLUSTERS[options.engine]() as cluster:
        where = (options.engine, cluster.address, options.bundle)
        if options.kill is not None:
            job = (cluster, options.output, options.kill, killed)
            threading.Thread(target=kill_half_way, args=job, daemon=True).start()
        output = str(options.output)
        if options.verb == "score":
            score_on_cluster(*where, options.given, output, nan="error")
        else:
            seeded = {"seed": 7, "partitions": options.partitions}
            sample_on_cluster(*where, output, int(options.given), **seeded)
    if options.kill is not None and not killed:
        sys.exit("no worker was killed: the job was over before")


if __name__ == "__main__":
    main()
