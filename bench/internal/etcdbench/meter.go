package etcdbench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// The server's own counters. A proposal is what Raft has to write to the log of each member.
const (
	proposalsName = "etcd_server_proposals_committed_total"
	watchesName   = "etcd_debugging_mvcc_watcher_total"
)

// proposals is the column of the former.
const proposals = "proposals"

func meter(addr string) *scenario.Meter {
	return &scenario.Meter{Writes: proposals, Read: func(ctx context.Context) (scenario.Load, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			return scenario.Load{}, err
		}
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			return scenario.Load{}, fmt.Errorf("asking the server for its counters: %w", err)
		}
		defer func() { _ = r.Body.Close() }()
		return load(r.Body)
	}}
}

// load finds the counters in the text format of Prometheus.
func load(text io.Reader) (scenario.Load, error) {
	found := map[string]float64{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name != proposalsName && name != watchesName {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return scenario.Load{}, fmt.Errorf("the server's counter %s: %w", name, err)
		}
		found[name] = v
	}
	if err := lines.Err(); err != nil {
		return scenario.Load{}, err
	}
	for _, name := range []string{proposalsName, watchesName} {
		if _, ok := found[name]; !ok {
			return scenario.Load{}, fmt.Errorf("the server has no counter %s", name)
		}
	}
	return scenario.Load{Writes: found[proposalsName], Watches: found[watchesName]}, nil
}
