package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// serveScripts loads scripts, and answers each that runs with a list of its arguments but the database.
func serveScripts(c net.Conn) {
	defer c.Close()
	answers := make(chan string, 100) // a pipe has no room, and the client has more to write
	defer close(answers)
	go func() {
		for a := range answers {
			_, _ = io.WriteString(c, a) // the reader notices what is wrong
		}
	}()
	r := bufio.NewReader(c)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		answer := "+OK\r\n"
		switch words[0] {
		case "hello":
			answer = "-ERR unknown command\r\n" // so that go-redis asks for no more
		case "evalsha":
			found := words[3 : len(words)-1]
			answer = fmt.Sprintf("*%d\r\n", len(found))
			for _, f := range found {
				answer += fmt.Sprintf("+%s\r\n", f)
			}
		}
		answers <- answer
	}
}

// Prepare tells of commands that are there and not needed, and of nothing else.
func TestPrepareFindsFeatures(t *testing.T) {
	s := newScriptServer()
	s.serves = serveScripts
	withNode(t, s, func(t *testing.T, n *Node) {
		p := Permissions{Script: echoScript, KeyCommands: 3}
		if err := n.Prepare(t.Context(), nil, p); err != nil || n.Features() != (Features{}) {
			t.Errorf("without any: %v, %v", n.Features(), err)
		}
		p.Args = []any{"+delex", "+another"}
		if err := n.Prepare(t.Context(), nil, p); err != nil || n.Features().Delete != "DELEX" {
			t.Errorf("with DELEX: %v, %v", n.Features(), err)
		}
		p.Args = []any{"+delifeq", "-del"}
		if err := n.Prepare(t.Context(), nil, p); err == nil || !strings.HasSuffix(err.Error(), "… +del") {
			t.Errorf("with DELIFEQ and without DEL: %v", err)
		}
	})
}
