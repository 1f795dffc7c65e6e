package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func startProcesses(k Kind, o options, program string, n int) (*Cluster, error) {
	version, err := programVersion(k, program)
	if err != nil {
		return nil, err
	}
	all, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	peers := make([]peer, n)
	for i, p := range all {
		peers[i] = peer{name: memberName(i), host: "127.0.0.1", ports: p}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*startLimit)
	defer cancel()
	c := &Cluster{kind: k}
	for i, p := range all {
		var s *Server
		l := layout{host: "127.0.0.1", ports: p, public: p, self: i, members: peers}
		if s, err = launchProcess(ctx, k, o, program, l); err != nil {
			break
		}
		s.version = version
		c.members = append(c.members, s)
	}
	if err == nil {
		err = c.await(ctx)
	}
	if err != nil {
		_ = c.destroy(context.WithoutCancel(ctx))
		return nil, err
	}
	return c, nil
}

// launchProcess does not wait until the server answers: one alone of a cluster
// never would.
func launchProcess(ctx context.Context, k Kind, o options, program string, l layout) (*Server, error) {
	dir, err := os.MkdirTemp("", "fencelock-")
	if err != nil {
		return nil, err
	}
	l.dir, l.socket = dir, filepath.Join(dir, "server.sock")
	with := o.complete(k, l)
	if o.skew {
		if with.env, err = prepareSkew(dir, dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	m := &process{program: program, args: with.args, env: os.Environ(), dir: dir}
	for name, value := range with.env {
		m.env = append(m.env, name+"="+value)
	}
	s := newServer(k, o, fmt.Sprintf("as a process (%s)", program), "127.0.0.1", l.public, m)
	if o.socket {
		s.socket = l.socket
	}
	if o.skew {
		s.skew = filepath.Join(dir, skewFile)
	}
	if err = m.prepare(with.files); err == nil {
		err = m.start(ctx)
	}
	if err != nil {
		_ = m.remove(context.WithoutCancel(ctx))
		return nil, err
	}
	return s, nil
}

// useGiven takes the server that a variable names. It is not ours: it cannot be
// given arguments, killed or removed.
func useGiven(k Kind, o options, n int) (*Cluster, error) {
	variable := k.env("ADDR")
	if n > 1 {
		return nil, fmt.Errorf("the test needs a cluster of its own: unset %s, or choose tests that do not, with -run", variable)
	}
	if len(o.args) > 0 || len(o.files) > 0 || o.tls != nil || o.socket {
		return nil, fmt.Errorf("the test needs a %s with settings of its own: unset %s, or choose tests that do not, with -run", k, variable)
	}
	s := &Server{kind: k, addr: os.Getenv(variable), where: "given by " + variable, machine: given{variable}}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var err error
	if s.version, err = k.askVersion(ctx, s.addr); err != nil {
		return nil, fmt.Errorf("%s does not answer at the address in %s: %w", k, variable, err)
	}
	announce(s)
	return &Cluster{kind: k, members: []*Server{s}}, nil
}

type given struct{ variable string }

func (g given) fault() error {
	return errors.New("it is not ours: unset " + g.variable + " or leave this test out with -skip")
}

func (g given) start(context.Context) error   { return g.fault() }
func (g given) kill(context.Context) error    { return g.fault() }
func (g given) stop(context.Context) error    { return g.fault() }
func (g given) pause(context.Context) error   { return g.fault() }
func (g given) unpause(context.Context) error { return g.fault() }
func (g given) running(context.Context) bool  { return true }
func (g given) remove(context.Context) error  { return nil }
func (g given) log(context.Context) string    { return "" }
