package locktest

// Metric is one of a server's numbers, see servers.Metrics. A server that does not have
// it fails the test.
func Metric(t T, all map[string]float64, name string) int {
	t.Helper()
	n, ok := all[name]
	if !ok {
		t.Fatalf("the server does not count %s", name)
	}
	return int(n)
}
