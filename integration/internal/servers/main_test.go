package servers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// role makes the test binary play another part: that of a server, or of tests that
// come to a bad end.
const role = "FENCELOCK_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "server":
		playServer()
	case "crash":
		playCrash()
	case "start":
		_, err := start(Redis70, collect(nil), 1)
		fmt.Println(err)
	case "":
		Main(m)
	}
}

// playServer is as much of a redis-server as starting one takes, so that plain
// processes are tested on machines that have none.
func playServer() {
	if slices.Contains(os.Args, "--version") {
		fmt.Println("Fake server v=9.9.9 sha=0")
		return
	}
	if slices.Contains(os.Args, "--nonsense") {
		fmt.Println("Bad directive 'nonsense'")
		os.Exit(1)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[slices.Index(os.Args, "--port")+1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			for in := bufio.NewScanner(c); in.Scan(); {
				reply := "+PONG\r\n"
				if strings.HasPrefix(in.Text(), "INFO") {
					reply = "$21\r\nredis_version:9.9.9\r\n\r\n"
				}
				_, _ = io.WriteString(c, reply)
			}
		}()
	}
}

// playCrash starts a server, tells about it, and dies as if by a panic.
func playCrash() {
	c, err := start(Redis70, collect(nil), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	s := c.members[0]
	switch m := s.machine.(type) {
	case *container:
		fmt.Println(s.addr, m.id)
	case *process:
		fmt.Println(s.addr, m.dir)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
