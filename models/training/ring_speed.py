"""The ring of an application and its features with networkx and with python-igraph, timed beside ours.

`cargo run --release -- bench rings --python <python>` starts this. It gives a line with all neighbourhoods, as a check has
read them, and then lines that name a library; each is answered with nanoseconds and features of every neighbourhood.
Making the graph is part of the time, parsing what came in is not. The features are those of shared/relations/src/profile.rs.

    python -m venv ~/.cache/lending-rings-bench && ~/.cache/lending-rings-bench/bin/pip install -r ring_speed.txt
"""

import json
import sys
import time
from collections import Counter, defaultdict, deque

import igraph
import networkx as nx

KINDS = ("person", "device", "card", "phone", "address", "network")
STRONG = {"card", "device", "account", "phone", "person", "firm"}
LOGINS = ("device", "account")
FAN_IN = 128  # members that are compared with each other
HOUR, DAY = 3_600, 86_400


class Neighbourhood:
    """What a check has read, as Python has it in memory."""

    def __init__(self, told):
        self.own = told["own"]
        self.links = {link["id"]: link for link in told["links"]}
        for link in self.links.values():
            link["nodes"] = [tuple(node) for node in link["nodes"]]
        self.read = [(tuple(read["node"]), read["cut_off"], read["links"]) for read in told["read"]]
        self.at = {node: links for node, _, links in self.read}
        self.crowds = {node for node, cut_off, _ in self.read if cut_off}

    def joins(self, node):
        return node[0] in STRONG and (node not in self.crowds or node[0] in ("person", "account"))

    def degree(self, node):
        """Applications at a node in 90 days, by how fast they came where not all were read."""
        links = self.at.get(node, ())
        if node not in self.crowds:
            return len(links)
        times = [self.links[link]["at"] for link in links]
        begun = self.links[self.own]["at"] - 90 * DAY
        return max(len(links) * (max(times) - begun) // max(max(times) - min(times), 1), len(links) + 1)


def with_networkx(of):
    graph = nx.Graph()
    graph.add_node(of.own)
    for node, _, links in of.read:
        if of.joins(node):
            graph.add_edges_from((node, link) for link in links)
    members = [link for link in nx.node_connected_component(graph, of.own) if isinstance(link, str)]

    def shape(compared):
        ties = nx.Graph()
        ties.add_nodes_from(compared)
        touched = nx.Graph()
        for member in compared:
            nodes = of.links[member]["nodes"]
            touched.add_edges_from((member, node) for node in nodes)
            ties.add_edges_from((member, node) for node in nodes if of.joins(node))
        pairs = nx.bipartite.projected_graph(ties, compared).number_of_edges()
        return pairs, {node: list(touched[node]) for node in touched if not isinstance(node, str)}

    return features(of, members, shape)


def with_igraph(of):
    numbers = {of.own: 0}
    edges = []
    for node, _, links in of.read:
        if of.joins(node):
            place = numbers.setdefault(node, len(numbers))
            edges += [(place, numbers.setdefault(link, len(numbers))) for link in links]
    graph = igraph.Graph(n=len(numbers), edges=edges)
    names = list(numbers)
    members = [names[place] for place in graph.subcomponent(0) if isinstance(names[place], str)]

    def shape(compared):
        places = {member: place for place, member in enumerate(compared)}
        all_edges, joining = [], []
        for member in compared:
            for node in of.links[member]["nodes"]:
                edge = (places[member], places.setdefault(node, len(places)))
                all_edges.append(edge)
                if of.joins(node):
                    joining.append(edge)
        count = len(compared)
        types = [place >= count for place in range(len(places))]
        ties = igraph.Graph(n=len(places), edges=joining)
        ties.vs["type"] = types
        pairs = ties.bipartite_projection(which=0, multiplicity=False).ecount()
        touched = igraph.Graph(n=len(places), edges=all_edges)
        lists = touched.get_adjlist()
        order = list(places)
        return pairs, {order[place]: [order[m] for m in lists[place]] for place in range(count, len(places))}

    return features(of, members, shape)


def features(of, members, shape):
    firms = {of.links[member]["firm"] for member in members}
    found = [len(members), len(firms)]
    if len(members) < 2:
        return found
    newest = sorted(members, key=lambda member: (-of.links[member]["at"], member))[:FAN_IN]
    compared = sorted(newest, key=lambda member: of.links[member]["at"])
    pairs, at = shape(compared)
    kinds = defaultdict(dict)
    for node, sharers in at.items():
        kinds[node[0]][node] = sharers
    logins = {**kinds["device"], **kinds["account"]}
    links = [of.links[member] for member in compared]
    count = len(compared)

    def firms_at(sharers):
        return {of.links[member]["firm"] for member in sharers}

    def persons_at(sharers):
        return {node for member in sharers for node in of.links[member]["nodes"] if node[0] == "person"}

    def shared_percent(nodes):
        shared = set()
        for node, sharers in nodes.items():
            if (of.joins(node) or node[0] not in STRONG) and len(sharers) > 1 and len(firms_at(sharers)) > 1:
                shared.update(sharers)
        return 100 * len(shared) // count

    def network_weight(node, sharers):
        return 1000 * len(sharers) ** 2 // max(of.degree(node), len(sharers))

    def most_within(some, seconds, what):
        """The most different things that some name within a time."""
        window, most = deque(), 0
        for link in some:
            while window and window[0]["at"] + seconds < link["at"]:
                window.popleft()
            window.append(link)
            most = max(most, len({other[what] for other in window}))
        return most

    def stacked(sharers):
        return most_within(sorted((of.links[member] for member in sharers), key=lambda link: link["at"]), 7 * DAY, "bank")

    found += [len(kinds[kind]) for kind in KINDS]
    found.append(len({link["bank"] for link in links}))
    found.append(100 * pairs // max(count * (count - 1) // 2, 1))
    found.append(shared_percent(logins))
    found += [shared_percent(kinds[kind]) for kind in ("card", "phone", "person", "address")]
    shared = [(node, sharers) for node, sharers in kinds["network"].items() if len(firms_at(sharers)) > 1]
    found.append(sum(network_weight(node, sharers) for node, sharers in shared) // (10 * count))
    found.append(len({link["place"] for link in links if link["place"]}))
    amounts = Counter(link["amount"] for link in links if link["amount"])
    found.append(100 * max(amounts.values(), default=0) // count)
    found.append(sum(link["account_days"] is not None and link["account_days"] < 7 for link in links))
    found.append(max((stacked(sharers) for kind in ("person", "firm") for sharers in kinds[kind].values()), default=0))
    found.append(most_within(links, HOUR, "firm"))
    found.append((links[-1]["at"] - links[0]["at"]) // HOUR)
    found.append(max((len(persons_at(sharers)) for sharers in logins.values()), default=0))
    for kind in ("card", "phone", "person"):
        found.append(max((len(firms_at(sharers)) for sharers in kinds[kind].values()), default=0))
    return found


LIBRARIES = {"networkx": with_networkx, "igraph": with_igraph}


def main():
    everything = [Neighbourhood(told) for told in json.loads(sys.stdin.readline())]
    for line in sys.stdin:
        library = LIBRARIES[line.strip()]
        nanoseconds, found = [], []
        for of in everything:
            started = time.perf_counter_ns()
            found.append(library(of))
            nanoseconds.append(time.perf_counter_ns() - started)
        print(json.dumps({"nanoseconds": nanoseconds, "features": found}), flush=True)


if __name__ == "__main__":
    main()
