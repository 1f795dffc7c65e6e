package servers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/moby/client"
)

// RaftCluster is the name of the clusters of [Raft].
const RaftCluster = "test"

// Raft is a member of the built-in Raft in a process, or a container, of its own. Its
// program is built of this repository.
var Raft = Kind{
	name: "raft", product: "raftlocal", variable: "RAFT", program: "member", cure: "install Go", release: "0.",
	ports: ports{plain: 7300}, versionArgs: []string{"-version"},
	another: func(Kind) (string, error) { return buildMember() }, makeImage: memberImage,
	setup: raftSetup, ping: raftPing, askVersion: raftVersion, askStanding: raftStanding,
}

// raftSetup makes a member that listens on one port for everybody.
func raftSetup(l layout, o options) setup {
	me := l.me()
	var peers []string
	for _, m := range l.members {
		peers = append(peers, m.name+"="+net.JoinHostPort(m.host, strconv.Itoa(m.plain)))
	}
	q := url.Values{
		"id": {me.name}, "listen": {net.JoinHostPort(l.host, strconv.Itoa(l.plain))}, "peers": {strings.Join(peers, ",")},
		"cluster": {RaftCluster}, "insecure": {"true"},
	}
	return setup{args: append([]string{"-url", fmt.Sprintf("raft://%s/raft?%s", Dir, q.Encode())}, o.args...)}
}

// RaftURL is for clients of members at some addresses.
func RaftURL(addrs []string, ns string) string {
	q := url.Values{"cluster": {RaftCluster}, "insecure": {"true"}, "namespace": {ns}}
	return "raft://" + strings.Join(addrs, ",") + "?" + q.Encode()
}

// raftStatus is the part of a member's status that is needed here.
type raftStatus struct {
	Member, Leader string
	Serving        bool
	Term           uint64
}

func raftAsk(ctx context.Context, addr string) (s raftStatus, err error) {
	answer, err := httpSend(ctx, http.MethodGet, addr, "/status", "")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(answer, &s)
}

// raftPing is content with a member that knows a leader.
func raftPing(ctx context.Context, addr string) error {
	s, err := raftAsk(ctx, addr)
	if err == nil && s.Leader == "" {
		err = errors.New("it knows no leader yet")
	}
	return err
}

// raftVersion is that of the program: a member does not tell it.
func raftVersion(ctx context.Context, addr string) (string, error) {
	_, err := raftAsk(ctx, addr)
	return "0.1", err
}

func raftStanding(ctx context.Context, addr string) (standing, error) {
	s, err := raftAsk(ctx, addr)
	return standing{leads: s.Serving, term: s.Term}, err
}

const (
	memberPackage = "github.com/fencelock/fencelock/integration/member"
	memberProgram = "member"
	memberImages  = "fencelock/member"
)

// buildMember builds the program of the code as it is, once for each run, and keeps it in
// the cache under the hash of its content: runs of other packages, of the same code, use the
// same file.
var buildMember = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(cache, "fencelock"), 0o755); err != nil {
		return "", err
	}
	own, err := os.MkdirTemp(filepath.Join(cache, "fencelock"), "member-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(own)
	draft := filepath.Join(own, memberProgram)
	ctx, cancel := context.WithTimeout(context.Background(), imageLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", draft, memberPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", memberPackage, err, out)
	}
	program, err := os.ReadFile(draft)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "fencelock", memberProgram)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	final := filepath.Join(dir, hashOf(program))
	return final, os.Rename(draft, final)
})

func hashOf(program []byte) string {
	sum := sha256.Sum256(program)
	return hex.EncodeToString(sum[:6])
}

// memberImage puts the program into an image, which has nothing else in it.
func memberImage(ctx context.Context, docker *client.Client) (string, error) {
	path, err := buildMember()
	if err != nil {
		return "", err
	}
	image := memberImages + ":" + filepath.Base(path)
	if present(ctx, docker, image) {
		return image, nil
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	layer, err := layerOf(program)
	if err != nil {
		return "", err
	}
	out, err := docker.ImageImport(ctx, client.ImageImportSource{Source: layer, SourceName: "-"}, image, client.ImageImportOptions{
		Changes: []string{"WORKDIR " + containerDir, "ENV PATH=/usr/local/bin"},
	})
	if err != nil {
		return "", fmt.Errorf("importing %s: %w", image, err)
	}
	defer out.Close()
	var said bytes.Buffer
	if _, err := said.ReadFrom(out); err != nil {
		return "", err
	}
	if strings.Contains(said.String(), `"error"`) {
		return "", fmt.Errorf("importing %s: %s", image, said.String())
	}
	return image, nil
}

func layerOf(program []byte) (*bytes.Buffer, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/", strings.TrimPrefix(containerDir, "/") + "/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "usr/local/bin/" + memberProgram, Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return &layer, w.Close()
}
