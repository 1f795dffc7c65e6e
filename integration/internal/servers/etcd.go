package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
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

// Etcds are the servers with which backend/etcd is tested now: see [newest].
func Etcds() []Kind { return newest(allEtcds()) }

func allEtcds() []Kind { return []Kind{Etcd35, Etcd} }

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

// etcdPing is content with a server that has a leader.
func etcdPing(ctx context.Context, addr string) error {
	_, err := etcdAsk(ctx, http.MethodGet, addr, "/health")
	return err
}

func etcdVersion(ctx context.Context, addr string) (string, error) {
	answer, err := etcdAsk(ctx, http.MethodGet, addr, "/version")
	if err != nil {
		return "", err
	}
	var v struct{ EtcdServer string }
	if err := json.Unmarshal(answer, &v); err != nil {
		return "", err
	}
	if v.EtcdServer == "" {
		return "", errors.New("/version tells no version")
	}
	return v.EtcdServer, nil
}

// etcdStanding asks for the status, and where a user would have to ask, since
// authentication is switched on, for the metrics, which tell no term.
func etcdStanding(ctx context.Context, addr string) (standing, error) {
	answer, err := etcdAsk(ctx, http.MethodPost, addr, "/v3/maintenance/status")
	if err != nil {
		metrics, err := etcdMetrics(ctx, addr)
		return standing{leads: metrics["etcd_server_is_leader"] == 1}, err
	}
	var status struct {
		Header struct {
			Member string `json:"member_id"`
			Term   uint64 `json:"raft_term,string"`
		}
		Leader string
	}
	err = json.Unmarshal(answer, &status)
	return standing{leads: status.Leader != "" && status.Leader == status.Header.Member, term: status.Header.Term}, err
}

// etcdMetrics names a series as etcd does, with its labels.
func etcdMetrics(ctx context.Context, addr string) (map[string]float64, error) {
	answer, err := etcdAsk(ctx, http.MethodGet, addr, "/metrics")
	if err != nil {
		return nil, err
	}
	return parseNumbers(string(answer), " "), nil
}

func etcdAsk(ctx context.Context, method, addr, path string) ([]byte, error) {
	return httpSend(ctx, method, addr, path, "{}")
}

// httpSend makes one request, on a connection of its own.
func httpSend(ctx context.Context, method, addr, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, bytes.TrimSpace(answer))
	}
	return answer, err
}
