package servers

import (
	"maps"
	"strings"
)

// Option changes how a server is started.
type Option func(*options)

type options struct {
	args   []string
	files  map[string][]byte
	tls    *certificates
	socket bool
	skew   bool
}

// Dir stands, in an argument, for the directory of the server's data and files.
const Dir = "{dir}"

// Args adds arguments to the server's command line, or, for ZooKeeper, lines to its
// zoo.cfg, after those it has already: Args("--appendonly", "yes"),
// Args("tickTime=2000"). The last one counts.
func Args(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// File puts a file into the server's directory, or one below it, for an argument to name:
// Args("--aclfile", Dir+"/users.acl"). So may data be that the server is to begin with.
func File(name string, content []byte) Option {
	return func(o *options) { o.files[name] = content }
}

// TLS makes the server listen on a second port, [Server.TLSAddr], with a
// certificate that [Server.TLSConfig] trusts. It asks for the client's
// certificate, which TLSConfig has too.
func TLS() Option {
	return func(o *options) { o.tls = newCertificates() }
}

// UnixSocket makes the server listen on [Server.Socket] as well. It works where
// the server runs on this machine, in Docker or not.
func UnixSocket() Option {
	return func(o *options) { o.socket = true }
}

func collect(opts []Option) options {
	o := options{files: map[string][]byte{}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.tls != nil {
		for name, content := range o.tls.files() {
			o.files[name] = content
		}
	}
	return o
}

// complete is how a kind of server starts, with what the test adds to it.
func (o options) complete(k Kind, l layout) setup {
	s := k.setup(l, o)
	files := maps.Clone(o.files)
	maps.Copy(files, s.files)
	s.files = files
	for i := range s.args {
		s.args[i] = strings.ReplaceAll(s.args[i], Dir, l.dir)
	}
	return s
}
