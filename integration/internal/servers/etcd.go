package servers

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// etcd makes a Kind of one of its releases. An image of ours, and a program where
// there is no Docker, is built from the source of the version.
func etcd(name, variable, image, version string) Kind {
	minor := version[:strings.LastIndex(version, ".")+1]
	return Kind{
		name: name, product: "etcd", variable: variable, image: image, own: "fencelock/etcd:" + version,
		program: "etcd", cure: "put etcd " + minor + "x on PATH, or Go, which builds it", release: minor,
		ports: ports{plain: 2379, tls: 2378, peer: 2380}, versionArgs: []string{"--version"},
		another: func(k Kind) (string, error) { return buildEtcd(version) },
		setup:   etcdSetup, ping: etcdPing, askVersion: etcdVersion, askStanding: etcdStanding, askMetrics: etcdMetrics,
	}
}

var (
	// Etcd35 is the oldest etcd that is supported.
	Etcd35 = etcd("etcd 3.5", "ETCD35", "gcr.io/etcd-development/etcd:v3.5.35", "3.5.35")
	// Etcd is the current etcd.
	Etcd = etcd("etcd", "ETCD", "gcr.io/etcd-development/etcd:v3.7.3", "3.7.3")
)

// EtcdProxied is a cluster of two, of which the first is etcd, and the second etcd's own proxy before
// it, which holds no data: etcd grpc-proxy.
var EtcdProxied = func() Kind {
	k := Etcd
	k.name, k.setup = "etcd behind a proxy", etcdProxiedSetup
	return k
}()

func etcdProxiedSetup(l layout, o options) setup {
	first := l.members[0]
	if l.self == 0 {
		l.members = l.members[:1]
		return etcdSetup(l, o)
	}
	return setup{args: []string{
		"grpc-proxy", "start", "--endpoints", endpoint("http", first.host, first.plain),
		"--listen-addr", net.JoinHostPort(l.host, strconv.Itoa(l.plain)), "--data-dir", Dir + "/proxy",
	}}
}

// Etcds are the servers that backend/etcd supports.
func Etcds() []Kind { return []Kind{Etcd35, Etcd} }

// etcdSetup makes a server that writes to disk as etcd does by default: what it
// promises to keep is part of what is tested. Its leases can be as short as a
// second, since the shortest is one and a half election timeouts, rounded up.
func etcdSetup(l layout, o options) setup {
	me := l.me()
	listen, advertise := []string{endpoint("http", l.host, l.plain)}, []string{endpoint("http", "127.0.0.1", l.public.plain)}
	var args []string
	if o.tls != nil {
		listen = append(listen, endpoint("https", l.host, l.tls))
		advertise = append(advertise, endpoint("https", "127.0.0.1", l.public.tls))
		args = append(args, "--client-cert-auth", "--trusted-ca-file", Dir+"/ca.pem",
			"--cert-file", Dir+"/server.pem", "--key-file", Dir+"/server.key")
	}
	var cluster []string
	for _, m := range l.members {
		cluster = append(cluster, m.name+"="+endpoint("http", m.host, m.peer))
	}
	args = append(
		args, "--name", me.name, "--data-dir", Dir+"/etcd",
		"--listen-client-urls", strings.Join(listen, ","), "--advertise-client-urls", strings.Join(advertise, ","),
		"--listen-peer-urls", endpoint("http", l.host, me.peer), "--initial-advertise-peer-urls", endpoint("http", me.host, me.peer),
		"--initial-cluster", strings.Join(cluster, ","),
		"--heartbeat-interval", "50", "--election-timeout", "500",
	)
	return setup{args: append(args, o.args...)}
}

func endpoint(scheme, host string, port int) string {
	return fmt.Sprintf("%s://%s:%d", scheme, host, port)
}
