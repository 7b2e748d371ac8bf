"""A second host on this machine: a network namespace with a separate address."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# Classic BPF: load a random number (SKF_AD_RANDOM), and drop the packet (TC_ACT_SHOT) if it is below a threshold.
# Unlike the discipline netem and the action gact, the classifier is part of most kernels.
RANDOM_LOSS = "bpf direct-action bytecode '4,32 0 0 4294963256,53 1 0 {threshold},6 0 0 2,6 0 0 0'"


@contextmanager
def another_host(here: str, there: str, limit: str | None = None, loss: float = 0.0) -> Iterator[str]:
    """The name of a network namespace: a host at the address `there` that reaches this machine at `here`.

    limit: of the link in both directions, as `tc` has it.  loss: share of the packets that each end loses at random.
    Skips the test without root.
    """
    name = f"vecmill-{os.getpid()}"
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("needs root and iproute2 for a network namespace")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this machine has no network namespaces: {made.stderr}")
    link = f"vm{os.getpid() % 10**6}"
    try:
        for command in (
            f"ip link add {link} type veth peer name {link}p",
            f"ip link set {link}p netns {name}",
            f"ip addr add {here}/30 dev {link}",
            f"ip link set {link} up",
            f"ip netns exec {name} ip addr add {there}/30 dev {link}p",
            f"ip netns exec {name} ip link set {link}p up",
            f"ip netns exec {name} ip link set lo up",
        ):
            subprocess.run(command.split(), check=True)
        if limit:
            for command in (
                f"tc qdisc add dev {link} {limit}",
                f"ip netns exec {name} tc qdisc add dev {link}p {limit}",
            ):
                subprocess.run(command.split(), check=True)
        if loss:
            lossy = RANDOM_LOSS.format(threshold=round(loss * 2**32))
            for command in (
                f"tc qdisc add dev {link} clsact",
                f"ip netns exec {name} tc qdisc add dev {link}p clsact",
                f"tc filter add dev {link} ingress {lossy}",
                f"ip netns exec {name} tc filter add dev {link}p ingress {lossy}",
            ):
                subprocess.run(shlex.split(command), check=True)
        yield name
    finally:
        # The namespace goes when its last process does, and its end of the link with it; the next host needs the name.
        subprocess.run(["ip", "link", "del", link], check=False)
        subprocess.run(["ip", "netns", "del", name], check=True)
