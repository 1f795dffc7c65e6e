package clusterbench

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the addresses of some servers of a running Cluster, commas between.
const AddrVariable = "FENCELOCK_CLUSTER_ADDR"

const (
	masters = 3
	nodes   = 2 * masters // each master has a replica

	startLimit = 10 * time.Second
)

// nodeTimeout is that of a Cluster that is started here: when a server is down that does not answer.
const nodeTimeout = 2 * time.Second

// Start uses the Cluster at addr, or starts one.
func Start(ctx context.Context, addr string) (*server.Server, error) {
	if addr != "" {
		s, err := redisbench.UseSeveral(ctx, strings.Split(addr, ","))
		if err == nil {
			s.Version += ", Cluster"
		}
		return s, err
	}
	buses := make([]string, nodes)
	for i := range buses {
		bus, err := server.FreeAddr()
		if err != nil {
			return nil, err
		}
		_, buses[i], _ = net.SplitHostPort(bus)
	}
	s, err := server.StartSeveral(ctx, nodes, func(i int, addrs []string, dir string) (*exec.Cmd, error) {
		cmd, err := redisbench.Command(addrs[i], dir)
		if err == nil {
			cmd.Args = append(cmd.Args, "--repl-diskless-sync-delay", "0", "--cluster-enabled", "yes", "--cluster-port", buses[i],
				"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10))
		}
		return cmd, err
	}, startLimit, redisbench.Probe)
	if err != nil {
		return nil, err
	}
	addrs := strings.Split(s.Addr, ",")
	if err := form(ctx, addrs, buses); err != nil {
		s.Stop()
		return nil, fmt.Errorf("forming a Cluster: %w", err)
	}
	s.Version += fmt.Sprintf(", Cluster (node-timeout %s) of %d masters with a replica each", nodeTimeout, masters)
	return s, nil
}

// form makes a Cluster of servers that know nothing of each other.
func form(ctx context.Context, addrs, buses []string) error {
	all := make([]*redis.Client, len(addrs))
	for i, addr := range addrs {
		all[i] = redis.NewClient(&redis.Options{Addr: addr})
		defer func() { _ = all[i].Close() }()
		if i < masters {
			if err := all[i].ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
				return err
			}
		}
		// Masters of one epoch would settle it between them later.
		if err := all[i].Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
	}
	for i, addr := range addrs[1:] {
		host, port, _ := net.SplitHostPort(addr)
		if err := all[0].Do(ctx, "CLUSTER", "MEET", host, port, buses[i+1]).Err(); err != nil {
			return err
		}
	}
	for i := masters; i < nodes; i++ {
		id, err := all[i-masters].Do(ctx, "CLUSTER", "MYID").Text()
		if err != nil {
			return err
		}
		// It knows its master only when word of it has come round.
		if err := redisbench.Await(ctx, func(ctx context.Context) error { return all[i].ClusterReplicate(ctx, id).Err() }); err != nil {
			return err
		}
	}
	return redisbench.Await(ctx, func(ctx context.Context) error { return well(ctx, addrs) })
}
