package main

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The servers of compose.yaml are those that docs/try.md and the comments name, on the same
// ports, and those with which the tests are run.
func TestComposeFile(t *testing.T) {
	compose, page := read(t, "compose.yaml"), read(t, "docs/try.md")

	// Each URL on the page leads to a server of that name, in the order of its scheme.
	services := map[string]string{} // by port
	name := ""
	service := regexp.MustCompile(`^  ([a-z0-9]+):`)
	ports := regexp.MustCompile(`^ {4}ports: (.*)`)
	port := regexp.MustCompile(`"(.*?):(\d+)(?:-(\d+))?:(?:\d+)(?:-\d+)?"`)
	for line := range strings.Lines(compose) {
		if m := service.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		list := ports.FindString(line)
		for _, m := range port.FindAllStringSubmatch(list, -1) {
			if m[1] != "127.0.0.1" {
				t.Errorf("%s listens on %s, for the whole network", name, m[1])
			}
			for n := number(t, m[2]); n <= number(t, cmp.Or(m[3], m[2])); n++ {
				services[strconv.Itoa(n)] = name
			}
		}
	}
	if len(services) != 6+6+6 {
		t.Errorf("the ports %v; want those of six servers, of six behind Sentinels and the Sentinels, and of six of a Cluster", services)
	}
	found := map[string]bool{}
	for _, raw := range regexp.MustCompile(`[a-z+]+://localhost[^\s`+"`"+`]*`).FindAllString(page+compose, -1) {
		scheme, _, _ := strings.Cut(raw, ":")
		for n, m := range regexp.MustCompile(`localhost:(\d+)`).FindAllStringSubmatch(raw, -1) {
			at, want := services[m[1]], strings.TrimPrefix(scheme, "redis+")
			if scheme == "redlock" {
				want += strconv.Itoa(n + 1)
			}
			if at != want && scheme != "http" {
				t.Errorf("%s leads to %q", raw, at)
			}
			found[at] = true
		}
	}
	for _, want := range []string{"redis", "etcd", "zookeeper", "redlock1", "redlock2", "redlock3", "sentinel", "cluster"} {
		if !found[want] {
			t.Errorf("docs/try.md has no URL of %s", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?:up -d --wait|docker compose exec|restart|stop) ([a-z0-9]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(compose, "\n  "+m[1]+":") {
			t.Errorf("docs/try.md starts %s, which is not in compose.yaml", m[1])
		}
	}

	pinned := read(t, "integration/README.md")
	images := regexp.MustCompile(`image: (\S+)`).FindAllStringSubmatch(compose, -1)
	if len(images) != 8 {
		t.Errorf("%d images", len(images))
	}
	for _, m := range images {
		if !strings.Contains(pinned, "| `"+m[1]+"` |") {
			t.Errorf("the tests do not run with %s: see integration/README.md", m[1])
		}
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
