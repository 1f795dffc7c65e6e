package raftlocal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/driver/address"
)

// Admin looks after a cluster, or after a directory that processes share. It keeps no
// connection, so it need not be closed. It is safe for concurrent use.
//
// Methods ask one member after another until one answers, and follow it to the leader. While
// an election is under way they ask again, for some seconds. They return when ctx is done; then
// it is not known whether what was asked for is done, and Status tells.
type Admin struct {
	network network.Network
	addrs   []string                                // empty for a directory
	dial    func(context.Context) (net.Conn, error) // of a directory
	cluster string
}

// NewAdmin takes the same Options as [New], and connects to nobody yet. Of a member's it asks the
// peers, so it needs no member in its own process. It has no use for Memory.
func NewAdmin(o *Options) (*Admin, error) {
	c, err := o.value().check()
	if err != nil {
		return nil, err
	}
	a := &Admin{addrs: c.Hosts, cluster: c.Cluster}
	switch {
	case c.Memory != "":
		return nil, address.Invalid("locks in the memory of a process have no operators")
	case c.Socket != "":
		a.cluster = shared.Cluster
		a.dial = func(ctx context.Context) (net.Conn, error) { return shared.DialSocket(ctx, c.Socket) }
		return a, nil
	case c.Dir != "" && c.ID == "":
		a.cluster = shared.Cluster
		a.dial = func(ctx context.Context) (net.Conn, error) { return shared.DialDirectory(ctx, c.Dir) }
		return a, nil
	}
	for _, p := range c.Peers {
		a.addrs = append(a.addrs, p.Addr)
	}
	a.network, err = networkOf(c)
	return a, err
}

// networkOf is how members are dialled.
func networkOf(c Options) (network.Network, error) {
	if c.Insecure {
		return network.System(), nil
	}
	secure, err := c.secure()
	if err != nil {
		return nil, err
	}
	return network.Secured(network.System(), secure), nil
}

// Status tells how the cluster stands in the eyes of its leader or, while there is none, of
// the first member that answers.
func (a *Admin) Status(ctx context.Context) (Status, error) {
	var first *Status
	var errs []error
	targets := a.targets()
	for i := 0; i < len(targets); i++ {
		s, err := a.status(ctx, targets[i])
		switch {
		case err != nil:
			errs = append(errs, err)
		case s.Leader == s.Member || s.Leader == "" && i == len(targets)-1:
			return s, nil
		default:
			if first == nil {
				first = &s
			}
			// The leader is asked next, if it can be found.
			for _, m := range s.Members {
				if m.Name == s.Leader && m.Addr != "" && !slices.Contains(targets[:i+1], m.Addr) {
					targets = slices.Insert(targets, i+1, m.Addr)
				}
			}
		}
	}
	if first != nil {
		return *first, nil
	}
	return Status{}, errors.Join(errs...)
}

// StatusOf tells how the cluster stands in the eyes of the member at one address.
func (a *Admin) StatusOf(ctx context.Context, addr string) (Status, error) {
	return a.status(ctx, addr)
}

func (a *Admin) status(ctx context.Context, addr string) (s Status, err error) {
	body, err := a.ask(ctx, addr, http.MethodGet, "/status", nil)
	if err != nil {
		return s, err
	}
	defer func() { _ = body.Close() }() // it was only read
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("the status of %s: %w", addr, err)
	}
	return s, nil
}

// AddMember adds a member, and returns when it has a vote. It must have been started with Join and
// an empty directory: it is asked for the id that it has drawn, for 10 s at most. Its name is
// one that no member has now. If ctx ends before the member has read up, it is given up, and may
// be tried again.
func (a *Admin) AddMember(ctx context.Context, p Peer) error {
	return a.order(ctx, "/members", url.Values{"add": {p.Name + "=" + p.Addr}})
}

// RemoveMember removes a member, dead or alive, and returns when the others do without it. It is
// refused if those who are alive then are no majority. A leader transfers its leadership first. A member that is
// removed ends; its directory is of no more use.
func (a *Admin) RemoveMember(ctx context.Context, name string) error {
	return a.order(ctx, "/members", url.Values{"remove": {name}})
}

// ReplaceMember removes a member and adds another at once, so that the cluster has as many all
// the time: as for one that has lost its disk. The other may have the same name and address, with a new
// directory.
func (a *Admin) ReplaceMember(ctx context.Context, old string, p Peer) error {
	return a.order(ctx, "/members", url.Values{"add": {p.Name + "=" + p.Addr}, "remove": {old}})
}

// TransferLeadership hands leadership over to a member, or to the one that is furthest if the
// name is empty, and returns when it leads.
func (a *Admin) TransferLeadership(ctx context.Context, name string) error {
	q := url.Values{}
	if name != "" {
		q.Set("to", name)
	}
	return a.order(ctx, "/leader", q)
}

// Backup writes what [Restore] makes a new cluster of: all locks, sessions and tokens as they
// were at one moment of the call.
func (a *Admin) Backup(ctx context.Context, w io.Writer) error {
	body, err := a.lead(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was only read
	_, err = io.Copy(w, body)
	return err
}

func (a *Admin) order(ctx context.Context, path string, q url.Values) error {
	body, err := a.lead(ctx, http.MethodPost, path, q)
	if err != nil {
		return err
	}
	return body.Close()
}

// targets are whom to ask, in order. A directory is one, without an address.
func (a *Admin) targets() []string {
	if a.dial != nil {
		return []string{""}
	}
	return slices.Clone(a.addrs)
}

const (
	// leaderTimeout is how long an operator waits for a leader: for several elections.
	leaderTimeout = 5 * time.Second
	// askingAgain is the pause meanwhile.
	askingAgain = 100 * time.Millisecond
)

// lead asks the leader. If there is none, it asks again: nothing was begun.
func (a *Admin) lead(ctx context.Context, method, path string, q url.Values) (io.ReadCloser, error) {
	if method != http.MethodGet && a.cluster == "" {
		return nil, address.Invalid("cluster= is missing: what changes a cluster needs its name")
	}
	for end := time.Now().Add(leaderTimeout); ; {
		body, electing, err := a.leadOnce(ctx, method, path, q)
		if !electing || time.Now().After(end) {
			return body, err
		}
		select {
		case <-time.After(askingAgain):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// leadOnce asks each once. electing says that nobody leads, as far as those know who were
// reached, and nobody has begun what was asked for.
func (a *Admin) leadOnce(ctx context.Context, method, path string, q url.Values) (body io.ReadCloser, electing bool, err error) {
	var errs []error
	targets, certain := a.targets(), true
	for i := 0; i < len(targets); i++ {
		body, err := a.ask(ctx, targets[i], method, path, q)
		if err == nil {
			return body, false, nil
		}
		errs = append(errs, err)
		var t *troubleError
		said := errors.As(err, &t)
		electing = electing || said && t.NotBegun
		certain = certain && notBegun(err)
		switch {
		case !said: // it was not reached
		case t.Leader != nil && !slices.Contains(targets[:i+1], t.Leader.Addr):
			targets = slices.Insert(targets, i+1, t.Leader.Addr)
		case t.code != http.StatusServiceUnavailable && t.Leader == nil:
			return nil, false, err // it is the leader who says no
		}
	}
	return nil, electing && certain, errors.Join(errs...)
}

// notBegun reports whether it is certain that a member has not begun what it was asked for.
func notBegun(err error) bool {
	var said *troubleError
	var dial *net.OpError
	return errors.As(err, &said) && said.NotBegun || errors.As(err, &dial) && dial.Op == "dial"
}

// troubleError is what a member has said instead of doing what it was asked.
type troubleError struct {
	trouble
	code int
	from string
}

func (e *troubleError) Error() string { return e.from + e.trouble.Error }

// ask asks one member.
func (a *Admin) ask(ctx context.Context, addr, method, path string, q url.Values) (io.ReadCloser, error) {
	// The connection is made by us, so the URL's host is only a name for the header.
	host, from := addr, addr+": "
	if addr == "" || strings.HasPrefix(addr, "unix:") {
		host = "member"
	}
	if addr == "" {
		from = ""
	}
	r, err := http.NewRequestWithContext(ctx, method, (&url.URL{Scheme: "http", Host: host, Path: path, RawQuery: q.Encode()}).String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set(clusterHeader, a.cluster)
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if addr == "" {
				return a.dial(ctx)
			}
			return a.network.Dial(ctx, addr)
		},
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s%w", from, err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	t := &troubleError{code: answer.StatusCode, from: from}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&t.trouble); err != nil || t.trouble.Error == "" {
		t.trouble.Error = "it answers " + answer.Status + ": is it a member of a cluster of fencelock?"
	}
	return nil, t
}
