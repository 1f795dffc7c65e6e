package cluster

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// endpoints are the addresses under which clients are to reach nodes, by their IDs.
type endpoints map[string]string

// parseEndpoints reads the reply to CLUSTER SLOTS of the node at an address: [first, last, node, …] for each range, a
// node being [host, port, ID, …]. Unlike CLUSTER NODES it has the host that the Cluster wants clients to use, an address or a
// name, and the port of TLS for those that ask by TLS. And unlike CLUSTER SHARDS, every service that has Clusters knows it.
func parseEndpoints(reply any, asked string) (endpoints, error) {
	unexpected := fmt.Errorf("redis: unexpected reply %.200v to CLUSTER SLOTS", reply)
	ranges, ok := reply.([]any)
	if !ok {
		return nil, unexpected
	}
	all := endpoints{}
	for _, r := range ranges {
		parts, ok := r.([]any)
		if !ok || len(parts) < 2 {
			return nil, unexpected
		}
		for _, n := range parts[2:] {
			fields, ok := n.([]any)
			if !ok || len(fields) < 3 {
				return nil, unexpected
			}
			host, _ := fields[0].(string) // or nil
			port, ok1 := fields[1].(int64)
			id, ok2 := fields[2].(string)
			if !ok1 || !ok2 {
				return nil, unexpected
			}
			if host == "?" { // names are preferred, and it has none
				host = ""
				if len(fields) > 3 {
					host = ipOf(fields[3])
				}
			}
			all[id] = complete(host, strconv.FormatInt(port, 10), asked)
		}
	}
	return all, nil
}

// ipOf looks for the IP address in what CLUSTER SLOTS tells of a node besides: [name, value, …].
func ipOf(metadata any) string {
	pairs, _ := metadata.([]any)
	for pair := range slices.Chunk(pairs, 2) {
		if ip, ok := pair[len(pair)-1].(string); ok && pair[0] == "ip" {
			return ip
		}
	}
	return ""
}

// complete is the address of a node of which another one, asked at an address, knows host and port. A host that is missing
// is that of the one that was asked: it does not know its own, or the Cluster is behind one address. So is a port of
// 0: the nodes take TLS only. And a node that calls itself 127.0.0.1 on another machine is there.
func complete(host, port, asked string) string {
	askedHost, askedPort, err := net.SplitHostPort(asked)
	if err != nil {
		return joinHost(host, port)
	}
	if host == "" || isLoopback(host) && net.ParseIP(askedHost) != nil && !isLoopback(askedHost) {
		host = askedHost
	}
	if port == "0" {
		port = askedPort
	}
	return joinHost(host, port)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// mapOf is the map of a view, with the endpoints that the same node has told; those of nodes that it
// has not told are as the nodes know each other.
func (v *view) mapOf(found endpoints, asked string) *slotMap {
	m := &slotMap{epoch: v.epoch()}
	places := make([]int16, len(v.members))
	order := make([]int, len(v.members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(v.members[a].id, v.members[b].id) })
	for _, i := range order {
		x := &v.members[i]
		addr := found[x.id]
		if addr == "" {
			host, port, _ := net.SplitHostPort(x.addr)
			addr = complete(host, port, asked)
		}
		switch {
		case x.slots > 0:
			places[i] = int16(len(m.masters)) //nolint:gosec // see with
			m.masters = append(m.masters, Master{ID: x.id, Addr: addr, Epoch: x.epoch})
		case !x.failing:
			m.replicas = append(m.replicas, addr)
		}
	}
	for slot, i := range v.owners {
		m.owners[slot] = nobody
		if i != nobody {
			m.owners[slot] = places[i]
		}
	}
	return m
}
