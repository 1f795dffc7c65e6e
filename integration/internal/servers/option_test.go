package servers

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"testing"
)

func TestTLS(t *testing.T) {
	everyReal(t, func(t *testing.T, k Kind) {
		s := Start(t, k, TLS())
		c, err := tls.Dial("tcp", s.TLSAddr(), s.TLSConfig())
		if err != nil {
			t.Fatal(err)
		}
		expectPong(t, c)
		without := s.TLSConfig()
		without.Certificates = nil
		if c, err := tls.Dial("tcp", s.TLSAddr(), without); err == nil {
			// In TLS 1.3 the refusal comes after the handshake.
			defer c.Close()
			if _, err := c.Write([]byte("PING\r\n")); err == nil {
				_, err = c.Read(make([]byte, 1))
				if err == nil {
					t.Error("a client without a certificate was let in")
				}
			}
		}
		if !answers(s) {
			t.Error("the plain port does not answer")
		}
	})
}

func TestUnixSocket(t *testing.T) {
	everyReal(t, func(t *testing.T, k Kind) {
		s := Start(t, k, UnixSocket())
		c, err := net.Dial("unix", s.Socket())
		if err != nil {
			t.Fatal(err)
		}
		expectPong(t, c)
	})
}

func TestArgsAndFile(t *testing.T) {
	everyReal(t, func(t *testing.T, k Kind) {
		s := Start(t, k,
			File("users.acl", []byte("user default on nopass ~* +@all\nuser other on >secret ~a* +get\n")),
			Args("--aclfile", Dir+"/users.acl"))
		ask(t, s, "AUTH other secret", "+OK")
		ask(t, s, "AUTH other wrong", "-WRONGPASS invalid username-password pair or user is disabled.")
	})
}

func TestPassword(t *testing.T) {
	everyReal(t, func(t *testing.T, k Kind) {
		s := Start(t, k, Args("--requirepass", "secret"))
		ask(t, s, "PING", "-NOAUTH Authentication required.")
		ask(t, s, "AUTH secret", "+OK")
		s.Kill(t)
		s.Restart(t)
		ask(t, s, "AUTH secret", "+OK")
	})
}

// everyReal runs a test with the kinds as this machine starts them, and the oldest
// as a process if it has the program.
func everyReal(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range Redises() {
		t.Run(k.String(), func(t *testing.T) { test(t, k) })
	}
	if _, err := findProgram(Redis70); err == nil {
		t.Run("as a process", func(t *testing.T) {
			t.Setenv("FENCELOCK_SERVERS", "process")
			test(t, Redis70)
		})
	}
}

func expectPong(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "+PONG" {
		t.Fatalf("PING: %q, %v", line, err)
	}
}
