"""Flower as the transport of a federation whose clients give values only.

The server is FZooS's; Flower carries its messages, named arrays of numbers, to the nodes and back.
A node keeps its function and its history: they stay in the state that Flower keeps for it.

    pip install "flwr[simulation]" feasible
    python examples/flower.py

In a deployment, `server` and `client` are the two apps of the project (`flwr new`); only what
`function` returns is yours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message as Envelope, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from feasible.core.checkpoint import decode, encode
from feasible.networks import FZooS, Message

METHOD, UNKNOWNS, ROUNDS, NODES = FZooS(features=500), 12, 6, 3
SHARED_SEED = 1
"""Of the random features; the same on all nodes."""


def function(context: Context) -> Callable[[np.ndarray], float]:
    """What a node knows: here a bowl about a point of its own."""
    middle = 0.3 + 0.2 * int(context.node_config["partition-id"])
    return lambda x: float(((x - middle) ** 2).sum())


def packed(message: Message) -> RecordDict:
    """Put a message into Flower's records."""
    arrays = ArrayRecord({k: Array(np.asarray(v)) for k, v in message.arrays.items()})
    about = ConfigRecord({"round": message.round, "kind": message.kind})
    return RecordDict({"arrays": arrays, "about": about})


def unpacked(content: RecordDict) -> Message:
    """Take it out."""
    about: Any = content["about"]
    arrays = {k: v.numpy() for k, v in content.array_records["arrays"].items()}
    return Message(int(about["round"]), str(about["kind"]), arrays)


client = ClientApp()


@client.query()
def answer(envelope: Envelope, context: Context) -> Envelope:
    """Answer the server; what the node remembers stays in its context."""
    seed = [SHARED_SEED, int(context.node_config["partition-id"])]
    one = METHOD.client(function(context), UNKNOWNS, np.random.default_rng(seed), SHARED_SEED)
    if "client" in context.state:
        one.state = decode(context.state.config_records["client"]["state"], one.state)
    found = one.round(unpacked(envelope.content))
    context.state["client"] = ConfigRecord({"state": encode(one.state)})
    return Envelope(packed(found), reply_to=envelope)


class Node:
    """A node of the grid, as the server of a federation sees a client.

    Args:
        grid: Flower's.
        node: Its number.
    """

    def __init__(self, grid: Grid, node: int):
        self.grid, self.node = grid, node

    def round(self, message: Message) -> Message:
        """Send a message and wait for the answer; `coordinate` names the node where it fails."""
        asked = Envelope(packed(message), dst_node_id=self.node, message_type="query")
        (reply,) = self.grid.send_and_receive([asked], timeout=60.0)
        if reply.has_error():
            raise ConnectionError(reply.error.reason)
        return unpacked(reply.content)


server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Be the server, once the nodes are there."""
    while len(list(grid.get_node_ids())) < NODES:
        time.sleep(0.2)
    nodes = {number: Node(grid, number) for number in sorted(grid.get_node_ids())}
    found = METHOD.coordinate(nodes, np.full(UNKNOWNS, 0.9), ROUNDS, on_failure="skip")
    print(found.x.round(2))
    print(found.to_frame())


if __name__ == "__main__":
    from flwr.simulation import run_simulation

    run_simulation(server, client, num_supernodes=NODES)
