package servers

import (
	"context"
	"strconv"
	"strings"
)

// Metrics returns what a server counts about itself: of etcd the series of
// /metrics, named with their labels; of ZooKeeper the lines of mntr. What is not a
// number is left out.
func Metrics(t T, s *Server) map[string]float64 {
	t.Helper()
	if s.kind.askMetrics == nil {
		t.Fatalf("servers: %v: there are no metrics of %s here", s, s.kind.product)
	}
	numbers, err := s.kind.askMetrics(context.Background(), s.addr)
	if err != nil {
		t.Fatalf("servers: metrics of %v: %v", s, err)
	}
	return numbers
}

// parseNumbers reads lines of a name, a separator and a number. A name may hold the
// separator.
func parseNumbers(text, separator string) map[string]float64 {
	numbers := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndex(line, separator)
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if n, err := strconv.ParseFloat(line[at+len(separator):], 64); err == nil {
			numbers[line[:at]] = n
		}
	}
	return numbers
}
