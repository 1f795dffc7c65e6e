package redlockbench

import (
	"context"
	"errors"
	"sync"
)

// errGone says that the lock was not ours any more when it was released.
var errGone = errors.New("released a lock that was not held")

// rawHeld is one try to lock, and the lock if it succeeds.
type rawHeld struct {
	client     *rawClient
	key, owner string
	busy       []sync.Mutex // of each node, while a request to take the key is on its way there
}

func newRawHeld(c *rawClient, key, owner string) *rawHeld {
	return &rawHeld{client: c, key: key, owner: owner, busy: make([]sync.Mutex, len(c.nodes))}
}

// vote is one node's answer.
type vote struct {
	node  int
	yes   bool
	count uint64
	err   error
}

// ask sends something to some nodes at once, and returns the votes of those that said yes as soon as these are a majority of
// all nodes, or cannot become one.
func (h *rawHeld) ask(nodes []vote, send func(node int) vote) (yes []vote, ok bool, err error) {
	answers := make(chan vote, len(nodes))
	for _, to := range nodes {
		go func() { answers <- send(to.node) }()
	}
	quorum := len(h.client.nodes)/2 + 1
	for left := len(nodes); len(yes) < quorum; left-- {
		if len(yes)+left < quorum {
			return yes, false, err
		}
		v := <-answers
		if v.yes {
			yes = append(yes, v)
		} else if v.err != nil {
			err = v.err
		}
	}
	return yes, true, nil
}

func (h *rawHeld) all() []vote {
	all := make([]vote, len(h.client.nodes))
	for i := range all {
		all[i].node = i
	}
	return all
}

func (h *rawHeld) lock(ctx context.Context) (bool, error) {
	for i := range h.busy {
		h.busy[i].Lock()
	}
	yes, ok, err := h.ask(h.all(), func(node int) vote {
		defer h.busy[node].Unlock()
		count, err := h.client.take(ctx, h, node)
		return vote{node: node, yes: err == nil && count > 0, count: count, err: err}
	})
	if !ok || h.client.write == nil {
		return ok, err
	}
	token := uint64(0)
	for _, v := range yes {
		token = max(token, v.count)
	}
	_, ok, err = h.ask(yes, func(node int) vote {
		yes, err := h.client.write(ctx, h, node, token)
		return vote{node: node, yes: yes, err: err}
	})
	return ok, err
}

// free deletes the key on all nodes. A delete must not overtake the request that takes the key, which has another
// connection and of which a majority does not wait: on that node the key would stay for the whole TTL.
func (h *rawHeld) free(ctx context.Context) (bool, error) {
	_, ok, err := h.ask(h.all(), func(node int) vote {
		h.busy[node].Lock()
		defer h.busy[node].Unlock()
		n, err := deleteIfOurs.Run(ctx, h.client.nodes[node], []string{h.key}, h.owner).Int()
		return vote{node: node, yes: n > 0, err: err}
	})
	return ok, err
}

func (h *rawHeld) Release(ctx context.Context) error {
	ok, err := h.free(ctx)
	if err == nil && !ok {
		return errGone
	}
	return err
}
