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

// freePorts finds one for each use.
func freePorts() (p ports, err error) {
	if p.plain, err = freePort(); err != nil {
		return p, err
	}
	for p.tls = p.plain; p.tls == p.plain && err == nil; {
		p.tls, err = freePort()
	}
	return p, err
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
