package servers

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// freePort finds one that nobody listens on. It is below those that systems give
// to outgoing connections, so that none of them takes it while the server that
// owns it is down.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp4", loopback(port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// freePorts finds one for each use of each of n servers, all different.
func freePorts(n int) ([]ports, error) {
	taken := map[int]bool{}
	var err error
	next := func() int {
		for err == nil {
			var port int
			if port, err = freePort(); !taken[port] {
				taken[port] = true
				return port
			}
		}
		return 0
	}
	all := make([]ports, n)
	for i := range all {
		all[i] = ports{plain: next(), tls: next(), peer: next(), election: next()}
	}
	return all, err
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
