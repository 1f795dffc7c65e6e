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
	s := newServer(k, o, fmt.Sprintf("as a process (%s)", program), l.public, m)
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
