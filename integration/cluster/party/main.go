// Command party is a client of locks of a Cluster that is a process of its own, so that it can be built of changed
// sources. It takes an order on a line, and answers with one.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	lockredis "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// party wants locks. Its ways to nodes can be cut.
type party struct {
	client *fencelock.Client
	ways   *proxy.Ways

	locking sync.WaitGroup
	mu      sync.Mutex
	leases  map[string]*fencelock.Lease
}

func main() {
	p, err := open(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("open")
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		words := strings.Fields(orders.Text())
		fmt.Println(p.obey(words[0], words[1:]))
	}
}

func open(nodes, namespace, ttl string) (*party, error) {
	p := &party{ways: proxy.NewWays(proxy.RESP), leases: map[string]*fencelock.Lease{}}
	app := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: strings.Split(nodes, ","), Dialer: p.ways.Dial})
	b, err := lockredis.New(context.Background(), app, &lockredis.Options{Namespace: namespace})
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(ttl)
	if err != nil {
		return nil, err
	}
	p.client, err = fencelock.New(b, &fencelock.Options{TTL: d, Logger: slog.New(slog.DiscardHandler)})
	return p, err
}

func (p *party) obey(order string, words []string) string {
	switch order {
	case "lock": // the locks of these names, within some milliseconds
		p.lock(words)
	case "outcome": // those that it has got
		return p.outcome()
	case "held":
		p.mu.Lock()
		defer p.mu.Unlock()
		l := p.leases[words[0]]
		return strconv.FormatBool(l != nil && l.Err() == nil)
	case "unlock": // all
		return p.unlock()
	case "cut": // from the nodes at these addresses
		for _, addr := range words {
			p.ways.To(addr).Blackhole()
		}
	case "heal":
		p.ways.Heal()
	default:
		return "error " + order
	}
	return "ok"
}

func (p *party) lock(words []string) {
	ms, _ := strconv.Atoi(words[0])
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
	var locking sync.WaitGroup
	for _, key := range words[1:] {
		locking.Go(func() {
			if l, err := p.client.Lock(ctx, key); err == nil {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.leases[key] = l
			}
		})
	}
	p.locking.Go(func() {
		locking.Wait()
		cancel()
	})
}

func (p *party) outcome() string {
	p.locking.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	got := []string{"got"}
	for key, l := range p.leases {
		got = append(got, key+"="+l.Token().String())
	}
	return strings.Join(got, " ")
}

func (p *party) unlock() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for key, l := range p.leases {
		_ = l.Unlock(ctx) // the server may not know it any more
		delete(p.leases, key)
	}
	return "ok"
}
