package servers

import "strings"

// Option changes how a server is started.
type Option func(*options)

type options struct {
	args   []string
	files  map[string][]byte
	tls    *certificates
	socket bool
}

// Dir stands, in an argument, for the directory of the server's data and files.
const Dir = "{dir}"

// Args adds arguments to the server's command line, after those it has already:
// Args("--appendonly", "yes").
func Args(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// File puts a file into the server's directory, for an argument to name:
// Args("--aclfile", Dir+"/users.acl").
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

// commandLine is the whole of a server's arguments.
func (o options) commandLine(k Kind, l layout, socket string) []string {
	args := k.args(l)
	if o.tls != nil {
		args = append(args, o.tls.args(l.tls)...)
	}
	if o.socket {
		args = append(args, "--unixsocket", socket, "--unixsocketperm", "777")
	}
	args = append(args, o.args...)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], Dir, l.dir)
	}
	return args
}
