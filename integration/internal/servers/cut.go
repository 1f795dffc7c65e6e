package servers

import (
	"context"
	"errors"
	"strings"
)

// Cut drops what the member and the others send each other, until [Cluster.Heal].
// Clients reach all of them. A member that restarts is whole again: its network is
// a new one.
func (c *Cluster) Cut(t T, member *Server) {
	t.Helper()
	c.rule(t, "cut", member, dropInbound, dropOutbound)
}

// CutInbound drops what the others send to the member, and with it their
// acknowledgements of what it sends.
func (c *Cluster) CutInbound(t T, member *Server) {
	t.Helper()
	c.rule(t, "cut what comes to", member, dropInbound)
}

// CutOutbound drops what the member sends to the others.
func (c *Cluster) CutOutbound(t T, member *Server) {
	t.Helper()
	c.rule(t, "cut what goes from", member, dropOutbound)
}

// Heal ends the cuts of a member.
func (c *Cluster) Heal(t T, member *Server) {
	t.Helper()
	c.rule(t, "heal", member, "$i -F")
}

// The rules go by the network instead of by the others' addresses, which change
// when they restart. What comes from its gateway is from clients; what a server
// sends to itself passes by the loopback interface.
const (
	dropInbound  = "$i -A INPUT ! -i lo -s $gateway -j ACCEPT; $i -A INPUT ! -i lo -s $subnet -j DROP"
	dropOutbound = "$i -A OUTPUT ! -o lo -d $gateway -j ACCEPT; $i -A OUTPUT ! -o lo -d $subnet -j DROP"
)

// Some kernels know only one of the two kinds of iptables.
const iptables = `set -e
i="iptables -w"
$i -L -n >/dev/null 2>&1 || i="iptables-legacy -w"
`

func (c *Cluster) rule(t T, what string, member *Server, rules ...string) {
	t.Helper()
	m, ok := member.machine.(*container)
	var image string
	var err error
	switch {
	case !ok:
		err = errors.New("it is a process, and it takes Docker to cut a member off: install Docker, or leave this test out with -skip")
	case c.network == nil:
		err = errors.New("it is alone: use StartCluster with several members")
	default:
		image, err = findImage(faults) // outside the time limit of a fault: it may be built
	}
	member.fault(t, what, func(ctx context.Context) error {
		if err != nil {
			return err
		}
		script := iptables + strings.Join(rules, "\n")
		script = strings.NewReplacer("$gateway", c.network.gateway.String(), "$subnet", c.network.subnet.String()).Replace(script)
		return runBeside(ctx, m, image, script)
	})
}
