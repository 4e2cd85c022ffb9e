from .graph import Disconnected as Disconnected, Network as Network
from .ready import read_edges as read_edges, ready_graph as ready_graph
