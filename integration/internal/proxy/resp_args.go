package proxy

import (
	"bytes"
	"strconv"
	"strings"
)

// Args splits a request in RESP into its words: the command and its arguments. It
// returns nil for what is not a request.
func Args(request []byte) []string {
	line, rest, ok := bytes.Cut(request, []byte("\n"))
	if !ok {
		return nil
	}
	if len(line) == 0 || line[0] != '*' {
		return strings.Fields(string(line))
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil || n <= 0 {
		return nil
	}
	var args []string
	for range n {
		line, rest, ok = bytes.Cut(rest, []byte("\r\n"))
		if !ok || len(line) == 0 || line[0] != '$' {
			return nil
		}
		size, err := strconv.Atoi(string(line[1:]))
		if err != nil || size < 0 || size+2 > len(rest) {
			return nil
		}
		args = append(args, string(rest[:size]))
		rest = rest[size+2:]
	}
	return args
}

// Command matches the requests in RESP whose first words are these: the command,
// in any case, and as many of its arguments as are given.
func Command(name string, args ...string) func(request []byte) bool {
	return func(request []byte) bool {
		got := Args(request)
		if len(got) <= len(args) || !strings.EqualFold(got[0], name) {
			return false
		}
		for i, arg := range args {
			if got[i+1] != arg {
				return false
			}
		}
		return true
	}
}
