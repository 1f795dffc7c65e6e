// Package consumer uses each module as those do who have never seen this repository: in an
// empty module, from a module proxy, without a replace and without go.work. What is released is
// a copy of the work tree, by the program that makes the real releases.
package consumer

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// users says what the user of each backend may meet.
var users = map[string]struct {
	url  string   // for the README's program; it is run if no server is needed
	runs bool     //
	most int      // modules in go list -m all, the user's own and ours included
	may  []string // of foreign
}{
	"backend/mem":           {url: "mem://", runs: true, most: 2},
	"backend/raftlocal":     {url: "raft://DIR", runs: true, most: 16, may: []string{"go.etcd.io/raft/"}},
	"backend/redis":         {url: "redis://localhost:6379", most: 18, may: []string{"github.com/redis/go-redis/"}},
	"backend/redis/redlock": {url: "redlock://h1,h2,h3", most: 18, may: []string{"github.com/redis/go-redis/"}},
	"backend/etcd":          {url: "etcd://localhost:2379", most: 100, may: []string{"go.etcd.io/etcd/", "google.golang.org/grpc", "go.opentelemetry.io/"}},
	"backend/zookeeper":     {url: "zookeeper://localhost:2181", most: 4, may: []string{"github.com/go-zookeeper/zk"}},
}

// foreign begins the paths of what belongs to some backend, or to our tests. It is no part
// of any other user's build list, in which scanners look and versions are raised.
var foreign = []string{
	"github.com/redis/", "go.etcd.io/", "google.golang.org/grpc", "github.com/go-zookeeper/",
	"github.com/testcontainers/", "github.com/docker/", "github.com/moby/", "github.com/alicebob/", "go.opentelemetry.io/",
}

// shop is an empty module of somebody else.
type shop struct {
	dir string
	env []string
}

func TestConsumers(t *testing.T) {
	p := publish(t)
	real := strings.TrimSpace(run(t, ".", nil, "go", "env", "GOMODCACHE"))
	cache := t.TempDir()
	env := []string{
		"GOENV=off", "GOWORK=off", "GOTOOLCHAIN=local", "GOSUMDB=off", "GOPRIVATE=", "GONOPROXY=", "GONOSUMDB=",
		"GOPROXY=file://" + filepath.ToSlash(p.proxy) + ",file://" + filepath.ToSlash(real) + "/cache/download",
		// What is made up here must not get into the cache of whoever runs the test.
		"GOMODCACHE=" + cache,
		// With -trimpath, what is built does not depend on where that cache is, and is built once.
		"GOFLAGS=-modcacherw -trimpath",
	}
	if real == cache {
		t.Fatal("this is the real module cache")
	}
	// What is no module of its own is what a user of one gets, too.
	for _, dir := range append(p.modules, "backend/mem", "backend/redis/redlock") {
		if dir == "." {
			continue // the user of mem has it
		}
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			s := shop{t.TempDir(), env}
			switch {
			case strings.HasPrefix(dir, "cmd/"):
				s.install(t, dir)
			case strings.HasPrefix(dir, "backend/"):
				s.lock(t, dir, p.readme)
			default:
				s.compile(t, dir, "package main\n\nimport _ \""+path.Join(root, dir)+"\"\n\nfunc main() {}\n")
			}
		})
	}
}

// lock builds the README's program with the backend, and runs it where no server is needed.
func (s shop) lock(t *testing.T, dir, readme string) {
	user, ok := users[dir]
	if !ok {
		t.Fatalf("say in users what a user of %s may meet", dir)
	}
	url := strings.Replace(user.url, "DIR", filepath.ToSlash(t.TempDir()), 1)
	program := strings.ReplaceAll(readme, root+"/backend/mem", path.Join(root, dir))
	program = strings.ReplaceAll(program, "mem://", url)
	if !strings.Contains(program, `"`+path.Join(root, dir)+`"`) || !strings.Contains(program, `"`+url+`"`) {
		t.Fatalf("the README's program does not open mem://:\n%s", program)
	}
	s.compile(t, dir, program)

	list := strings.Split(strings.TrimSpace(s.run(t, "go", "list", "-m", "all")), "\n")
	t.Logf("%d modules", len(list))
	if len(list) > user.most {
		t.Errorf("the user has %d modules, more than %d:\n%s", len(list), user.most, strings.Join(list, "\n"))
	}
	for _, m := range list[1:] {
		if begins(m, foreign) && !begins(m, user.may) {
			t.Errorf("the user of %s has %s", dir, m)
		}
	}
	switch dir {
	case "backend/raftlocal":
		s.member(t)
	case "backend/redis/redlock": // its command, as the package comment says to run it
		s.run(t, "go", "build", "-o", "operator", root+"/backend/redis/cmd/redlock")
	}
	if user.runs {
		if out := s.run(t, "./shop"); !strings.Contains(out, "lock held: true") {
			t.Errorf("the README's program says %q", out)
		}
	}
}

// member builds the program of docs/raftlocal.md with the page's commands, in an empty folder.
func (s shop) member(t *testing.T) {
	text, err := os.ReadFile("../../docs/raftlocal.md")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(text), "### 2. A program")
	_, commands, _ = strings.Cut(commands, "```sh\n")
	commands, _, _ = strings.Cut(commands, "```")
	if !strings.Contains(commands, "/example/member") {
		t.Fatalf("the page does not say how to build the program: %s", commands)
	}
	s.dir = t.TempDir()
	s.run(t, "sh", "-e", "-c", commands)
	if _, err := os.Stat(filepath.Join(s.dir, "member")); err != nil {
		t.Error(err)
	}
}

// compile gets a module, and builds a program that imports it, before go mod tidy and after.
func (s shop) compile(t *testing.T, dir, program string) {
	s.run(t, "go", "mod", "init", "example.com/shop")
	s.run(t, "go", "get", path.Join(root, dir)+"@"+version)
	if err := os.WriteFile(filepath.Join(s.dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "go", "build")
	s.run(t, "go", "vet")
	s.run(t, "go", "mod", "tidy")
	s.run(t, "go", "build", "-mod=readonly")
	mod, err := os.ReadFile(filepath.Join(s.dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("go.mod:\n%s", mod)
	if strings.Contains(string(mod), "replace") {
		t.Error("the user's module has a replace")
	}
}

// install installs a command, as go install does it with a version.
func (s shop) install(t *testing.T, dir string) {
	s.env = append(s.env, "GOBIN="+s.dir)
	s.run(t, "go", "install", path.Join(root, dir)+"@"+version)
	if _, err := os.Stat(filepath.Join(s.dir, path.Base(dir))); err != nil {
		t.Error(err)
	}
}

func (s shop) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	t.Log("$", name, strings.Join(args, " "))
	return run(t, s.dir, s.env, name, args...)
}

func begins(s string, with []string) bool {
	for _, w := range with {
		if strings.HasPrefix(s, w) {
			return true
		}
	}
	return false
}
